"""Images as an integer model reads them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Images = Tensor | NDArray[np.uint8]


def checked_images(images: Images, input_size: Sequence[int]) -> NDArray[np.uint8]:
    """Return images as a row-major array, without a copy where they are one.

    Args:
        images: uint8 [images, *input_size].
        input_size: (channels, height, width).

    Raises:
        TypeError: If ``images`` is neither a tensor nor an array, or not uint8.
        ValueError: If it has another shape, or lies on another device than the CPU.

    Example:
        >>> checked_images(torch.zeros(2, 3, 8, 8), (3, 8, 8))
        Traceback (most recent call last):
        TypeError: IntegerModel: images must be uint8, as ImageData.byte_batches gives them, got ...
    """
    if not isinstance(images, (Tensor, np.ndarray)):
        msg = f"IntegerModel: images must be a tensor or an array, got {type(images).__name__}"
        raise TypeError(msg)
    if images.dtype != (torch.uint8 if isinstance(images, Tensor) else np.uint8):
        msg = (
            "IntegerModel: images must be uint8, as ImageData.byte_batches gives them, "
            f"got {images.dtype}"
        )
        raise TypeError(msg)
    if isinstance(images, Tensor) and images.device.type != "cpu":
        msg = f"IntegerModel: images must be on the CPU, got {images.device}; call images.cpu()"
        raise ValueError(msg)
    if images.ndim != 4 or tuple(images.shape[1:]) != tuple(input_size):
        wanted = ", ".join(map(str, input_size))
        got = list(images.shape)
        msg = f"IntegerModel: images must have shape [images, {wanted}], got {got}"
        raise ValueError(msg)
    return np.ascontiguousarray(images.numpy() if isinstance(images, Tensor) else images)
