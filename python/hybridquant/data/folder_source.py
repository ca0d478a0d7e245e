"""Images in a folder, one sub-folder a class."""

from __future__ import annotations

from pathlib import Path

from hybridquant.data.source import Source, first_few, is_image, reject


def open_folder(path: Path) -> Source:
    """Return the images of a folder, in sorted order.

    The folder holds one sub-folder a class with the images in it (torchvision's ImageFolder
    layout), or images only, which then have no labels. Hidden and other files are passed over.

    Args:
        path: The folder.

    Raises:
        OSError: If a folder cannot be listed.
        ValueError: If it is laid out in another way.
    """
    folders, images = _list(path)
    if folders and images:
        reject(
            "source",
            "hold class folders or images, not both",
            f"{path} with folder {folders[0].name} and image {images[0].name}",
        )
    for folder in folders:
        images += _images_of_class(path, folder)
    names = [image.relative_to(path).as_posix() for image in images]
    classes = [image.parent.name for image in images] if folders else None
    return Source(names, classes, lambda position: images[position].read_bytes())


def _images_of_class(root: Path, folder: Path) -> list[Path]:
    deeper, images = _list(folder)
    if deeper:
        reject(
            "source",
            "hold images directly in its class folders",
            f"{root} with {first_few([entry.relative_to(root).as_posix() for entry in deeper])}",
            f"for one split of a data set pass that folder, such as {folder}",
        )
    if not images:
        reject("source", "hold images in every class folder", f"{folder} without any")
    return images


def _list(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the sub-folders and the images in ``folder``."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    folders: list[Path] = []
    images: list[Path] = []
    for entry in entries:
        if entry.is_dir():
            folders.append(entry)
        elif is_image(entry.name):
            images.append(entry)
    return folders, images
