"""Random crops and flips of photographs, for training."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from hybridquant.data.image_data import ImageData

# Width by height of a crop, beside that of the photograph where the model squashes it.
_RATIO = (3 / 4, 4 / 3)


def random_views(
    data: ImageData,
    positions: Sequence[int],
    *,
    area: float,
    flip: float,
    seed: tuple[int, ...],
) -> tuple[Tensor, Tensor]:
    """Return a random view of each image, normalised as the model expects, and the labels.

    A view is a rectangle of the photograph, resized to the model's input, perhaps mirrored. It
    depends on ``seed`` and the image's position alone: not on the other images of the batch, on
    the process that makes it, or on what was drawn before.

    Args:
        data: Photographs or uint8 pixels.
        positions: Which images.
        area: Smallest share of the photograph that a view shows, above 0; the largest is 1.
        flip: Probability that a view is mirrored.
        seed: Numbers of the run and the epoch.

    Returns:
        (images float32 [batch, 3, height, width], labels int64 [batch]).

    Raises:
        OSError: If an image cannot be read.
        ValueError: If an image cannot be decoded or comes preprocessed; the text names it.

    Source:
        Rectangles as in Inception (arXiv:1409.4842, section 6), with one draw each, which is cut
        where it would be wider or higher than the photograph.
    """
    mean, std = (torch.tensor(v)[:, None, None] for v in (data.config.mean, data.config.std))
    views = []
    for position in positions:
        text = " ".join(map(str, (*seed, position)))
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
        draws = torch.rand(5, generator=torch.Generator().manual_seed(number >> 1)).tolist()
        view = _view(data.photograph(position), data, area, draws[:4])
        pixels = pil_to_tensor(view).float().div_(255).sub_(mean).div_(std)
        views.append(pixels.flip(-1) if draws[4] < flip else pixels)
    return torch.stack(views), torch.tensor([data.label(position) for position in positions])


def _view(photograph: Image.Image, data: ImageData, area: float, draws: list[float]) -> Image.Image:
    """Return a part of ``photograph`` in the model's size, as four numbers of 0 to 1 choose it."""
    config, (width, height) = data.config, photograph.size
    share = area + (1 - area) * draws[0]
    low, high = (math.log(ratio) for ratio in _RATIO)
    ratio = math.exp(low + (high - low) * draws[1])
    if config.crop_mode == "squash":
        ratio *= width / height
    view_width = min(math.sqrt(share * width * height * ratio), width)
    view_height = min(math.sqrt(share * width * height / ratio), height)
    left, top = draws[2] * (width - view_width), draws[3] * (height - view_height)
    size = (config.input_size[2], config.input_size[1])
    box = (left, top, left + view_width, top + view_height)
    return photograph.resize(size, Image.Resampling[config.interpolation.upper()], box)
