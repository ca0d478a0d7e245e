"""Labelled, preprocessed images that stream from their source."""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
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
# How far from a byte a preprocessed value may lie that came from one: float32 keeps it to 1e-4.
_BYTE_TOLERANCE = 0.01


class ImageData:
    """Images for calibration or evaluation, decoded and preprocessed when asked for.

    ``load_data`` makes it. It can be gone through as often as needed.

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
        self.config = config
        self.classes = classes
        self._source = source
        self._labels = labels
        self._description = description

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
        for position in range(len(self)):
            item = self._read(position)
            content = item if isinstance(item, bytes) else item.tobytes()
            digest.update(struct.pack("<qQ", self.label(position), len(content)))
            digest.update(content)
        return digest.hexdigest()

    def take(self, positions: Iterable[int]) -> ImageData:
        """Return only these images, in this order."""
        order = list(positions)
        labels = None if self._labels is None else [self._labels[i] for i in order]
        source = self._source.take(order)
        return ImageData(source, self.config, labels, self.classes, self._description)

    def batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images float32 [batch, channels, height, width] and labels int64 [batch].

        Args:
            batch_size: Images a batch; the last batch may have fewer.

        Raises:
            ValueError: If ``batch_size`` is below 1, or an image cannot be decoded or has
                another form than the model expects; the text names the image.
            OSError: If an image cannot be read.
        """
        _check_batch_size("batches", batch_size)
        return self._batches(batch_size, self._image)

    def byte_batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images uint8 [batch, channels, height, width] and labels int64 [batch].

        They are what an integer model reads: the pixels before they are normalised. ``batches``
        yields ``(x / 255 - mean) / std`` of them.

        Args:
            batch_size: Images a batch; the last batch may have fewer.

        Raises:
            ValueError: As for ``batches``, or if an image that comes preprocessed was not made from
                bytes with the model's mean and std.
            OSError: If an image cannot be read.
        """
        _check_batch_size("byte_batches", batch_size)
        return self._batches(batch_size, self._bytes)

    def photograph(self, position: int) -> Image.Image:
        """Return an image as it is in the source, decoded, before the model's transform.

        Raises:
            ValueError: If it cannot be decoded, or comes preprocessed; the text names it.
            OSError: If it cannot be read.
        """
        item = self._read(position)
        if not isinstance(item, bytes) and item.dtype != np.uint8:
            msg = (
                "ImageData.photograph: image must be a photograph or uint8 pixels, got "
                f"preprocessed floats in {self._place(position)}"
            )
            raise ValueError(msg)
        image: Image.Image = self._whole(lambda: _decoded(item), position)
        return image

    def label(self, position: int) -> int:
        """Return the class index of an image, -1 where images have none."""
        return -1 if self._labels is None else self._labels[position]

    def _batches(
        self, batch_size: int, image: Callable[[int], Tensor]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self), batch_size):
            positions = range(start, min(start + batch_size, len(self)))
            images = [image(position) for position in positions]
            yield torch.stack(images), torch.tensor([self.label(i) for i in positions])

    def _image(self, position: int) -> Tensor:
        item = self._read(position)
        if isinstance(item, bytes) or item.dtype == np.uint8:
            mean, std = self._mean_and_std
            return self._pixels(item, position).float().div_(255).sub_(mean).div_(std)
        return self._preprocessed(item, position)

    def _bytes(self, position: int) -> Tensor:
        item = self._read(position)
        if isinstance(item, bytes) or item.dtype == np.uint8:
            return self._pixels(item, position)
        mean, std = self._mean_and_std
        values = self._preprocessed(item, position).double().mul_(std).add_(mean).mul_(255)
        codes = values.round().clamp_(0, 255)
        error = float((values - codes).abs().max())
        if error > _BYTE_TOLERANCE:
            msg = (
                "ImageData.byte_batches: image must be made from bytes with the model's mean and "
                f"std, got values up to {error:.3g} from a byte in {self._place(position)}; use "
                "photographs or uint8 pixels"
            )
            raise ValueError(msg)
        return codes.byte()

    def _preprocessed(self, item: NDArray[Any], position: int) -> Tensor:
        if item.shape != self.config.input_size:
            msg = (
                f"ImageData: image must be {list(self.config.input_size)} for this model, got "
                f"{list(item.shape)} in {self._place(position)}; preprocess it for this model"
            )
            raise ValueError(msg)
        return torch.from_numpy(item.copy())

    def _pixels(self, item: Item, position: int) -> Tensor:
        image: Tensor = self._whole(lambda: self._transform(_decoded(item)), position)
        return image

    def _whole(self, decode: Callable[[], Any], position: int) -> Any:
        try:
            return decode()
        except _DECODE_ERRORS as error:
            # The first kind has the address of a buffer in its text.
            is_unknown = isinstance(error, UnidentifiedImageError)
            reason = "of no format known to Pillow" if is_unknown else error
            msg = (
                "ImageData: image must be a whole image file, got "
                f"{self._place(position)} ({reason}); replace or remove it"
            )
            raise ValueError(msg) from error

    def _read(self, position: int) -> Item:
        try:
            return self._source.read(position)
        except OSError as error:
            reason = error.strerror or error
            msg = f"ImageData: image must be readable, got {self._place(position)} ({reason})"
            raise OSError(msg) from error

    def _place(self, position: int) -> str:
        return f"{self._source.names[position]} of {self._description}"

    @cached_property
    def _mean_and_std(self) -> tuple[Tensor, Tensor]:
        mean, std = torch.tensor(self.config.mean), torch.tensor(self.config.std)
        return mean[:, None, None], std[:, None, None]

    @cached_property
    def _transform(self) -> Any:
        # Imported here: timm takes seconds and `import hybridquant` should not.
        from timm.data import create_transform

        config = self.config
        if config.input_size[0] != 3:
            msg = f"ImageData: model must take 3 channels, got {config.input_size[0]}"
            raise TypeError(msg)
        return create_transform(
            config.input_size,
            is_training=False,
            interpolation=config.interpolation,
            mean=config.mean,
            std=config.std,
            crop_pct=config.crop_pct,
            crop_mode=config.crop_mode,
            normalize=False,  # bytes, which ``_image`` normalises
        )


def _check_batch_size(function: str, batch_size: int) -> None:
    if batch_size < 1:
        msg = f"ImageData.{function}: batch_size must be at least 1, got {batch_size}"
        raise ValueError(msg)


def _decoded(item: Item) -> Image.Image:
    if isinstance(item, bytes):
        return Image.open(io.BytesIO(item)).convert("RGB")
    return Image.fromarray(item)
