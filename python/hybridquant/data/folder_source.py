"""Images in a folder, one sub-folder a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hybridquant.data.source import first_few, is_image, reject


class FolderSource:
    """The images of a folder, in sorted order.

    The folder holds one sub-folder a class with the images in it (torchvision's ImageFolder
    layout), or images only, which then have no labels. Hidden files and folders are passed over.

    Args:
        path: The folder.

    Raises:
        OSError: If the folder cannot be listed.
        ValueError: If it is laid out in another way.
    """

    def __init__(self, path: Path) -> None:
        entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
        folders = [entry for entry in entries if entry.is_dir()]
        images = [entry for entry in entries if not entry.is_dir() and is_image(entry.name)]
        if folders and images:
            reject(
                "source",
                "hold class folders or images, not both",
                f"{path} with folder {folders[0].name} and image {images[0].name}",
            )
        classes = [folder.name for folder in folders for _ in _images(path, folder)]
        self._paths = images + [image for folder in folders for image in _images(path, folder)]
        self.names: Sequence[str] = [str(p.relative_to(path)) for p in self._paths]
        self.targets: Sequence[str] | None = classes if folders else None

    def read(self, index: int) -> bytes:
        """Return the encoded image ``index``."""
        return self._paths[index].read_bytes()

    def take(self, order: Sequence[int]) -> FolderSource:
        """Return the source of only these images, in this order."""
        taken = FolderSource.__new__(FolderSource)
        taken._paths = [self._paths[i] for i in order]
        taken.names = [self.names[i] for i in order]
        taken.targets = None if self.targets is None else [self.targets[i] for i in order]
        return taken


def _images(root: Path, folder: Path) -> list[Path]:
    entries = sorted(folder.iterdir())
    images = [entry for entry in entries if is_image(entry.name)]
    deeper = [entry for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    if deeper:
        reject(
            "source",
            "hold images directly in its class folders",
            f"{root} with folders in {folder.name}: {first_few([entry.name for entry in deeper])}",
            f"for a data set with splits pass one of them, such as {folder}",
        )
    if not images:
        reject("source", "hold images in every class folder", f"{folder} without any")
    return images
