"""Folders: what is found, what is refused."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hybridquant.data.folder_source import open_folder

Write = Callable[[Mapping[str, bytes]], Path]


def test_classes_are_the_sub_folders_in_sorted_order(write_folder: Write) -> None:
    names = ["b/2.png", "b/1.JPEG", "a/3.webp", "a/notes.txt", ".cache/x/y.png", "a/._3.png"]
    source = open_folder(write_folder({name: name.encode() for name in names}))
    assert source.names == ["a/3.webp", "b/1.JPEG", "b/2.png"]
    assert source.targets == ["a", "b", "b"]
    assert [source.read(i) for i in range(3)] == [b"a/3.webp", b"b/1.JPEG", b"b/2.png"]


def test_images_alone_have_no_labels(write_folder: Write) -> None:
    source = open_folder(write_folder({"2.png": b"", "1.png": b"", "README": b""}))
    assert (source.names, source.targets) == (["1.png", "2.png"], None)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (
            ["a/1.png", "2.png"],
            "hold class folders or images, not both, got .*folder a and image 2",
        ),
        (["val/a/1.png"], "hold images directly.*got .* with val/a; .* such as .*val"),
        (["a/1.png", "b/notes.txt"], "hold images in every class folder, got .*b without any"),
    ],
)
def test_refuses_other_layouts(write_folder: Write, names: list[str], text: str) -> None:
    root = write_folder(dict.fromkeys(names, b""))
    with pytest.raises(ValueError, match=f"load_data: source must {text}") as error:
        open_folder(root)
    assert re.search(re.escape(str(root)), str(error.value))
