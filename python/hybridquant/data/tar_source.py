"""Images in a tar archive, read from their places without unpacking it."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

from hybridquant.data.source import Source, first_few, is_image, reject

_BLOCK = 512


def open_tar(path: Path) -> Source:
    """Return the images of an uncompressed tar, in archive order.

    Members are ``class/name.ext`` or ``split/class/name.ext`` with one split, or ``name.ext`` for
    images without labels. Other files in the archive are passed over.

    Args:
        path: The archive.

    Raises:
        OSError: If the archive cannot be read.
        ValueError: If it is no tar, cut short, or laid out in another way.
    """
    members = [member for member in _members(path) if is_image(member.name)]
    names = [member.name.removeprefix("./") for member in members]

    def read(position: int) -> bytes:
        return _read_slice(path, members[position].offset_data, members[position].size)

    return Source(names, _classes(path, names), read)


def _members(path: Path) -> list[tarfile.TarInfo]:
    """Return all regular files; also checks that the archive ends as it should.

    ``tarfile`` takes an archive that is cut between two members, or within a header, for a whole
    one; the zero block after the last member is what tells.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            members = archive.getmembers()
    except tarfile.TarError as error:
        reject("source", "be a whole, uncompressed tar", f"{path} ({error})")
    if members:
        last = members[-1]
        blocks = -(-last.size // _BLOCK) if last.isreg() else 0
        if _read_slice(path, last.offset_data + blocks * _BLOCK, _BLOCK) != bytes(_BLOCK):
            reject("source", "be a whole tar", f"{path} (cut short)", "copy it again")
    links = [m.name for m in members if is_image(m.name) and (m.issym() or m.islnk())]
    if links:
        got = f"{path} with {first_few(links)}"
        reject("source", "hold files, not links to files", got, "make it with tar --dereference")
    return [member for member in members if member.isreg()]


def _read_slice(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def _classes(path: Path, names: Sequence[str]) -> list[str] | None:
    parts = [name.split("/") for name in names]
    depths = sorted({len(part) for part in parts})
    if len(depths) > 1 or (depths and depths[0] > 3):
        examples = [min(names, key=lambda n: n.count("/")), max(names, key=lambda n: n.count("/"))]
        reject(
            "source",
            "have members class/name.ext, split/class/name.ext or name.ext throughout",
            f"{path} with {first_few(sorted(set(examples)))}",
        )
    splits = sorted({part[0] for part in parts if len(part) == 3})
    if len(splits) > 1:
        reject("source", "hold one split", f"{path} with {first_few(splits)}")
    return [part[-2] for part in parts] if depths and depths[0] > 1 else None
