"""Sources by path: labels, choice and bad input."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from hybridquant.data import DataConfig, load_data

Encode = Callable[..., bytes]
Write = Callable[[Mapping[str, bytes]], Path]


@pytest.fixture
def pictures(encode: Encode) -> dict[str, bytes]:
    """Six pictures of three classes whose brightness tells them apart."""
    names = ["cat/0.png", "cat/1.png", "dog/2.png", "dog/3.png", "owl/4.png", "owl/5.png"]
    return {name: encode(10 * i) for i, name in enumerate(names)}


def test_folder_and_tar_give_the_same(
    write_folder: Write, write_tar: Write, pictures: dict[str, bytes], plain: DataConfig
) -> None:
    folder = load_data(write_folder(pictures), plain)
    tar = load_data(str(write_tar(pictures)), plain)
    assert folder.classes == tar.classes == ("cat", "dog", "owl")
    assert folder.names == tar.names == tuple(pictures)
    assert folder.num_images == len(folder) == 6
    assert folder.sha256 == tar.sha256
    x, y = next(tar.batches(6))
    assert y.tolist() == [0, 0, 1, 1, 2, 2]
    torch.testing.assert_close(x[:, 0, 0, 0], torch.arange(6) * 10 / 255)


def test_labels_follow_the_model(
    write_tar: Write, pictures: dict[str, bytes], plain: DataConfig
) -> None:
    classes = ("owl", "ant", "dog", "cat")
    found = load_data(write_tar(pictures), plain, classes=classes)
    assert found.classes == classes
    assert next(found.batches(6))[1].tolist() == [3, 3, 2, 2, 0, 0]


def test_draw_keeps_images_and_labels_together(
    write_tar: Write, pictures: dict[str, bytes], plain: DataConfig
) -> None:
    path = write_tar(pictures)
    found = load_data(path, plain, num_images=3, seed=5)
    x, y = next(found.batches(3))
    levels = (x[:, 0, 0, 0] * 25.5).round().long()
    assert sorted(y.tolist()) == [0, 1, 2]
    assert (levels // 2).tolist() == y.tolist()
    assert found.sha256 == load_data(path, plain, num_images=3, seed=5).sha256
    assert found.sha256 != load_data(path, plain, num_images=3, seed=6).sha256


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_images": 0}, "num_images must be a whole number of at least 1, got 0"),
        ({"num_images": -3}, "num_images must be a whole number of at least 1, got -3"),
        ({"num_images": 7}, "num_images must be at most 6, the images in .*images.tar, got 7"),
        (
            {"classes": ["cat", "bee"]},
            r"hold only classes of the model \(cat, bee\), got .* with dog, owl; classes=None",
        ),
    ],
)
def test_refuses_what_the_source_lacks(
    write_tar: Write, pictures: dict[str, bytes], plain: DataConfig, options: dict, text: str
) -> None:
    with pytest.raises(ValueError, match=f"load_data: .*{text}"):
        load_data(write_tar(pictures), plain, **options)


def test_first_unknown_classes_are_named(
    write_tar: Write, encode: Encode, plain: DataConfig
) -> None:
    path = write_tar({f"class{i}/x.png": encode() for i in range(9)})
    with pytest.raises(ValueError, match="with class1, class2, class3 and 5 more"):
        load_data(path, plain, classes=["class0"])


@pytest.mark.parametrize("options", [{"require_labels": True}, {"classes": ["cat"]}])
def test_evaluation_needs_labels(
    write_folder: Write, encode: Encode, plain: DataConfig, options: dict
) -> None:
    root = write_folder({"1.png": encode(), "2.png": encode()})
    assert not load_data(root, plain, num_images=2).has_labels
    with pytest.raises(ValueError, match=r"source must have labels to evaluate on, got .*folder"):
        load_data(root, plain, **options)


def test_integer_labels_are_indices(tmp_path: Path, plain: DataConfig) -> None:
    path = tmp_path / "images.npz"
    np.savez(path, x=np.zeros((2, 8, 8, 3), np.uint8), y=np.array([2, 0]))
    assert load_data(path, plain).classes is None
    found = load_data(path, plain, classes=["a", "b", "c"])
    assert next(found.batches(2))[1].tolist() == [2, 0]
    with pytest.raises(ValueError, match="labels must be below 2, the model's classes, got 2 in"):
        load_data(path, plain, classes=["a", "b"])
    np.savez(path, x=np.zeros((1, 8, 8, 3), np.uint8), y=np.array([-1]))
    with pytest.raises(ValueError, match="labels must be at least 0, got -1 in"):
        load_data(path, plain)


def test_missing_source_is_named(tmp_path: Path, plain: DataConfig) -> None:
    with pytest.raises(FileNotFoundError, match=r"load_data: source must exist, got .*nowhere"):
        load_data(tmp_path / "nowhere", plain)


def test_unknown_kind_is_refused(tmp_path: Path, plain: DataConfig) -> None:
    (tmp_path / "images.zip").write_bytes(b"PK")
    text = r"must be a folder or end in \.npz, \.parquet, \.tar, got .*images\.zip"
    with pytest.raises(ValueError, match=text):
        load_data(tmp_path / "images.zip", plain)


@pytest.mark.parametrize("files", [{}, {"notes.txt": b""}], ids=["empty", "no images"])
def test_sources_without_images_are_refused(
    write_folder: Write, write_tar: Write, plain: DataConfig, files: dict[str, bytes]
) -> None:
    for path in (write_folder(files), write_tar(files)):
        with pytest.raises(ValueError, match=f"must hold at least one image, got {path} without"):
            load_data(path, plain)


def test_import_leaves_the_slow_packages_out() -> None:
    code = (
        "import sys, hybridquant.data, hybridquant.models; "
        "print(sorted({'timm', 'torchvision', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
