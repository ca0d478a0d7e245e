"""Where images come from: what every kind of source has in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

Item = bytes | NDArray[np.uint8] | NDArray[np.float32]
"""One image: an encoded file, uint8 pixels [H, W, 3], or a preprocessed float32 [C, H, W]."""

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".webp")


@dataclass(frozen=True)
class Source:
    """A sequence of images that are read one at a time.

    Args:
        names: Where each image lies, for error texts.
        targets: Class name (str) or class index (int) of each image; None without labels.
        read: Returns an image by its position, or raises OSError.
        gather: Returns several images by their positions, for sources where one pass over all
            is much cheaper than single reads.
    """

    names: Sequence[str]
    targets: Sequence[str | int] | None
    read: Callable[[int], Item]
    gather: Callable[[Sequence[int]], Sequence[Item]] | None = None

    def take(self, order: Sequence[int]) -> Source:
        """Return the source of only these images, in this order."""
        names = [self.names[i] for i in order]
        targets = None if self.targets is None else [self.targets[i] for i in order]
        if self.gather is not None:
            return Source(names, targets, self.gather(order).__getitem__)
        return Source(names, targets, lambda position: self.read(order[position]))


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
