"""Tar archives: layout, and damage that tarfile itself passes over."""

import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hybridquant.data.tar_source import open_tar

Write = Callable[[Mapping[str, bytes]], Path]
BLOCK = 512


@pytest.mark.parametrize(
    ("names", "targets"),
    [
        (["b/1.png", "a/2.png"], ["b", "a"]),
        (["val/b/1.png", "val/a/2.png"], ["b", "a"]),
        (["./b/1.png", "./a/2.png"], ["b", "a"]),
        (["1.png", "2.png"], None),
    ],
)
def test_keeps_archive_order(write_tar: Write, names: list[str], targets: list[str] | None) -> None:
    files = {name: name.encode() * 200 for name in names} | {"LICENSE": b"text"}
    source = open_tar(write_tar(files))
    assert source.names == [name.removeprefix("./") for name in names]
    assert source.targets == targets
    assert [source.read(i) for i in range(2)] == [files[name] for name in names]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["train/a/1.png", "val/a/1.png"], "hold one split, got .* with train, val"),
        (["a/1.png", "2.png"], "have members class/name.ext.* got .* with 2.png, a/1.png"),
        (["w/x/y/1.png"], "have members class/name.ext.* got .* with w/x/y/1.png"),
    ],
)
def test_refuses_other_layouts(write_tar: Write, names: list[str], text: str) -> None:
    with pytest.raises(ValueError, match=f"load_data: source must {text}"):
        open_tar(write_tar(dict.fromkeys(names, b"")))


# Two members of one header and two data blocks each; tarfile notices only some of these cuts.
@pytest.mark.parametrize("size", [0, 100, 512, 1000, 1536, 1600, 2048, 2600, 3071, 3072, 3500])
def test_refuses_archives_cut_anywhere(write_tar: Write, size: int) -> None:
    path = write_tar({"a/1.png": b"x" * 1024, "a/2.png": b"x" * 1024})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"load_data: source must be a whole.* tar, got .*images"):
        open_tar(path)


def test_refuses_other_files(tmp_path: Path) -> None:
    path = tmp_path / "images.tar"
    path.write_bytes(b"not a tar" * 1000)
    with pytest.raises(ValueError, match=r"whole, uncompressed tar, got .*images.tar \("):
        open_tar(path)


def test_refuses_links(tmp_path: Path) -> None:
    path = tmp_path / "images.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("a/1.png")
        member.type, member.linkname = tarfile.SYMTYPE, "2.png"
        archive.addfile(member)
    with pytest.raises(ValueError, match=r"hold files, not links to files, got .* with a/1.png"):
        open_tar(path)
