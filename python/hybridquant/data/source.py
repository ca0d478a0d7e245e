"""What every kind of image source offers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

Item = bytes | NDArray[np.uint8] | NDArray[np.float32]
"""One image: an encoded file, uint8 pixels [H, W, 3], or a preprocessed float32 [C, H, W]."""

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".webp")


class Source(Protocol):
    """A sequence of images with their names and, where known, what they show.

    ``targets`` holds a class name (str) or a class index (int) for each image; None where the
    images have no labels.
    """

    @property
    def names(self) -> Sequence[str]:
        """Where each image lies, for error texts."""

    @property
    def targets(self) -> Sequence[str] | Sequence[int] | None:
        """What each image shows."""

    def read(self, index: int) -> Item:
        """Return image ``index``.

        Raises:
            OSError: If it cannot be read.
        """

    def take(self, order: Sequence[int]) -> Source:
        """Return the source of only these images, in this order."""


def reject(argument: str, requirement: str, got: str, remedy: str = "") -> NoReturn:
    """Raise the error of ``load_data`` for an argument that does not do.

    Raises:
        ValueError: Always.
    """
    msg = f"load_data: {argument} must {requirement}, got {got}{remedy and f'; {remedy}'}"
    raise ValueError(msg)


def is_image(name: str) -> bool:
    """Return whether a file is an image by its name; hidden files are not."""
    stem = name.rsplit("/", 1)[-1]
    return stem.lower().endswith(IMAGE_SUFFIXES) and not stem.startswith(".")


def first_few(names: Sequence[str], limit: int = 3) -> str:
    """Return the first names as text.

    Example:
        >>> first_few(["a", "b", "c", "d", "e"])
        'a, b, c and 2 more'
    """
    text = ", ".join(names[:limit])
    return text if len(names) <= limit else f"{text} and {len(names) - limit} more"


def read_slice(path: Path, offset: int, size: int) -> bytes:
    """Return ``size`` bytes of a file from ``offset`` on."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)
