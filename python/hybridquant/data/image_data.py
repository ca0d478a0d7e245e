"""Labelled, preprocessed images that stream from their source."""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hybridquant.data.data_config import DataConfig
from hybridquant.data.source import Item, Source

# What Pillow raises on a damaged file, depending on the format.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


class ImageData:
    """Images for calibration or evaluation, decoded and preprocessed when asked for.

    Args:
        source: Where the images come from.
        config: What the model expects.
        labels: Class index of each image; None where unknown.
        classes: Names of the classes that the indices count; None where unknown.
        description: What the source is, for error texts.
    """

    def __init__(
        self,
        source: Source,
        config: DataConfig,
        labels: Sequence[int] | None,
        classes: tuple[str, ...] | None,
        description: str,
    ) -> None:
        self._source = source
        self._labels = labels
        self._description = description
        self.config = config
        self.classes = classes

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._source.names)

    @property
    def num_images(self) -> int:
        """Number of images."""
        return len(self)

    @property
    def has_labels(self) -> bool:
        """Whether the images have labels; without them ``batches`` yields -1 for each."""
        return self._labels is not None

    @property
    def names(self) -> tuple[str, ...]:
        """Where each image lies in the source."""
        return tuple(self._source.names)

    @cached_property
    def sha256(self) -> str:
        """Hash over the images' bytes and labels in their order; reads every image once."""
        digest = hashlib.sha256()
        for index in range(len(self)):
            content = self._read(index)
            data = content if isinstance(content, bytes) else content.tobytes()
            digest.update(struct.pack("<qQ", self._label(index), len(data)))
            digest.update(data)
        return digest.hexdigest()

    def batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images float32 [batch, channels, height, width] and labels int64 [batch].

        Args:
            batch_size: Images a batch; the last batch may have fewer.

        Raises:
            ValueError: If ``batch_size`` is below 1, or an image cannot be decoded; the text
                names the image.
            OSError: If an image cannot be read.
        """
        if batch_size < 1:
            msg = f"ImageData.batches: batch_size must be at least 1, got {batch_size}"
            raise ValueError(msg)
        return self._batches(batch_size)

    def _batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        transform = _transform(self.config)
        for start in range(0, len(self), batch_size):
            indices = range(start, min(start + batch_size, len(self)))
            images = [self._image(index, transform) for index in indices]
            yield torch.stack(images), torch.tensor([self._label(index) for index in indices])

    def _image(self, index: int, transform: Callable[[Image.Image], Tensor]) -> Tensor:
        content = self._read(index)
        if not isinstance(content, bytes) and content.dtype == np.float32:
            return torch.from_numpy(content.copy())
        try:
            return transform(_pixels(content))
        except _DECODE_ERRORS as error:
            msg = (
                "ImageData: image must be a whole JPEG, PNG or other file that Pillow reads, got "
                f"{self._source.names[index]!r} in {self._description} ({error}); "
                "replace or remove it"
            )
            raise ValueError(msg) from error

    def _read(self, index: int) -> Item:
        try:
            return self._source.read(index)
        except OSError as error:
            msg = (
                f"ImageData: image must be readable, got {self._source.names[index]!r} in "
                f"{self._description} ({error.strerror or error})"
            )
            raise OSError(msg) from error

    def _label(self, index: int) -> int:
        return -1 if self._labels is None else self._labels[index]


def _pixels(content: Item) -> Image.Image:
    image = Image.open(io.BytesIO(content)) if isinstance(content, bytes) else content
    return image.convert("RGB") if isinstance(image, Image.Image) else Image.fromarray(image)


def _transform(config: DataConfig) -> Callable[[Image.Image], Tensor]:
    # Imported here: timm takes seconds and `import hybridquant` should not.
    from timm.data import create_transform

    transform: Any = create_transform(
        config.input_size,
        is_training=False,
        interpolation=config.interpolation,
        mean=config.mean,
        std=config.std,
        crop_pct=config.crop_pct,
        crop_mode=config.crop_mode,
    )
    return lambda image: transform(image)
