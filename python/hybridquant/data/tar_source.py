"""Images in a tar archive, read from their places without unpacking it."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

from hybridquant.data.source import first_few, is_image, read_slice, reject

_BLOCK = 512


class TarSource:
    """The images of an uncompressed tar, in archive order.

    Members are ``class/name.ext`` or ``split/class/name.ext`` with one split, or ``name.ext`` for
    images without labels. Other files in the archive are passed over.

    Args:
        path: The archive.

    Raises:
        OSError: If the archive cannot be read.
        ValueError: If it is no tar, cut short, or laid out in another way.
    """

    def __init__(self, path: Path) -> None:
        members = [member for member in _members(path) if is_image(member.name)]
        self._path = path
        self._places = [(member.offset_data, member.size) for member in members]
        self.names: Sequence[str] = [member.name.removeprefix("./") for member in members]
        self.targets: Sequence[str] | None = _classes(path, self.names)

    def read(self, index: int) -> bytes:
        """Return the encoded image ``index``."""
        offset, size = self._places[index]
        return read_slice(self._path, offset, size)

    def take(self, order: Sequence[int]) -> TarSource:
        """Return the source of only these images, in this order."""
        taken = TarSource.__new__(TarSource)
        taken._path = self._path
        taken._places = [self._places[i] for i in order]
        taken.names = [self.names[i] for i in order]
        taken.targets = None if self.targets is None else [self.targets[i] for i in order]
        return taken


def _members(path: Path) -> list[tarfile.TarInfo]:
    """Return all regular files; also checks that the archive ends as it should.

    ``tarfile`` takes an archive that is cut between two members, or within a header, for a whole
    one; the zero block after the last member is what tells.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            members = archive.getmembers()
    except tarfile.TarError as error:
        reject("source", "be a whole, uncompressed tar", str(path), str(error))
    if not members:
        return []
    last = members[-1]
    end = last.offset_data + (-(-last.size // _BLOCK) * _BLOCK if last.isreg() else 0)
    if read_slice(path, end, _BLOCK) != bytes(_BLOCK):
        reject("source", "be a whole tar", f"{path}, which is cut short; copy it again")
    return [member for member in members if member.isreg()]


def _classes(path: Path, names: Sequence[str]) -> list[str] | None:
    parts = [name.split("/") for name in names]
    depths = {len(part) for part in parts}
    if len(depths) > 1 or max(depths, default=1) > 3:
        reject(
            "source",
            "hold class/name.ext, split/class/name.ext or name.ext throughout",
            f"{path} with {first_few([names[0], max(names, key=lambda n: n.count('/'))])}",
        )
    splits = sorted({part[0] for part in parts if len(part) == 3})
    if len(splits) > 1:
        reject("source", "hold one split", f"{path} with {first_few(splits)}")
    return None if depths <= {1} else [part[-2] for part in parts]
