"""The photographs, decoded once and kept as bytes; random views of them for training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from timm.data.random_erasing import RandomErasing
from torch import Tensor
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional

from hybridquant.data import DataConfig, load_data
from hybridquant.data.drawing import draw
from hybridquant.progress import track
from training.settings import Settings

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_RATIO = (3 / 4, 4 / 3)
# Weights of red, green and blue in a grey image, ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Photographs:
    """Decoded photographs on one device.

    Args:
        images: uint8 [count, 3, height, width].
        labels: int64 [count], the classes' indices.
        classes: Names of the classes, sorted.
        sha256: Hash of the files and labels they were read from.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    sha256: str

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, positions: Tensor) -> Photographs:
        """Return some of the photographs."""
        at = positions.to(self.labels.device)
        return Photographs(self.images[at], self.labels[at], self.classes, self.sha256)


def evaluation_config(size: int) -> DataConfig:
    """Return how a photograph becomes an input of ``size`` x ``size``: squashed, not cropped."""
    return DataConfig((3, size, size), "bilinear", 1.0, "squash", MEAN, STD)


def read_photographs(path: Path, size: int, device: torch.device) -> Photographs:
    """Return all photographs of a folder or archive with class folders, as ``size`` x ``size``.

    Raises:
        OSError: If ``path`` is missing or cannot be read.
        ValueError: If it is damaged or has no class folders.
    """
    # With this mean and deviation the package's pixels are bytes / 255.
    config = DataConfig((3, size, size), "bilinear", 1.0, "squash", (0.0,) * 3, (1.0,) * 3)
    data = load_data(path, config, require_labels=True)
    if data.classes is None:
        raise ValueError(f"{path}: must have class folders, got numbered labels only")
    images = torch.empty((len(data), 3, size, size), dtype=torch.uint8)
    images = images.to(device, memory_format=torch.channels_last)
    labels, start, batch_size = [], 0, 64
    batches = track(data.batches(batch_size), "decode", total=-(-len(data) // batch_size))
    for pixels, batch_labels in batches:
        images[start : start + len(pixels)] = (pixels * 255).round().to(torch.uint8).to(device)
        labels.append(batch_labels)
        start += len(pixels)
    return Photographs(images, torch.cat(labels).to(device), data.classes, data.sha256)


def split(photographs: Photographs, share: float, seed: int) -> tuple[Photographs, Photographs]:
    """Return the photographs for training and the class-balanced ones held out."""
    count = round(share * len(photographs))
    is_held = torch.zeros(len(photographs), dtype=torch.bool)
    if count:
        is_held[draw(photographs.labels.tolist(), count, seed)] = True
    return photographs.take((~is_held).nonzero()[:, 0]), photographs.take(is_held.nonzero()[:, 0])


def random_views(images: Tensor, size: int, settings: Settings) -> Tensor:
    """Return augmented and normalised views of a batch.

    Args:
        images: uint8 [batch, 3, height, width].
        size: Height and width of the views.
        settings: What is done to them. Random numbers are torch's and Python's.

    Returns:
        float32 [batch, 3, size, size].
    """
    views = torch.stack([_crop(image, size, settings) for image in images])
    flips = torch.rand(len(views), device=views.device) < settings.flip
    views = torch.where(flips[:, None, None, None], views.flip(-1), views).float() / 255
    if settings.color_jitter:
        views = _jitter(views, settings.color_jitter)
    views = normalise(views)
    if settings.erasing:
        erase = RandomErasing(settings.erasing, mode="pixel", device=str(views.device))
        views = erase(views)
    return views.contiguous(memory_format=torch.channels_last)


def plain_views(images: Tensor, size: int) -> Tensor:
    """Return a batch as it is evaluated: resized to ``size`` x ``size`` and normalised."""
    if images.shape[-1] != size:
        images = functional.resize(images, [size, size], antialias=True)
    return normalise(images.float() / 255).contiguous(memory_format=torch.channels_last)


def normalise(views: Tensor) -> Tensor:
    """Return pixels of 0 to 1 with ImageNet's mean taken off, in units of its deviation."""
    mean = torch.tensor(MEAN, device=views.device)[:, None, None]
    return (views - mean) / torch.tensor(STD, device=views.device)[:, None, None]


def _crop(image: Tensor, size: int, settings: Settings) -> Tensor:
    scale = list(settings.crop_scale)
    top, left, height, width = RandomResizedCrop.get_params(image, scale, list(_RATIO))
    return functional.resized_crop(image, top, left, height, width, [size, size], antialias=True)


def _jitter(views: Tensor, strength: float) -> Tensor:
    """Change brightness, contrast and saturation of each view by up to ``strength``."""
    low, high = 1 - strength, 1 + strength
    factors = torch.empty(3, len(views), 1, 1, 1, device=views.device).uniform_(low, high)
    luma = torch.tensor(_LUMA, device=views.device)[:, None, None]
    views = (views * factors[0]).clamp(0, 1)
    grey = (views * luma).sum(1, keepdim=True)
    views = torch.lerp(grey.mean((2, 3), keepdim=True), views, factors[1]).clamp(0, 1)
    grey = (views * luma).sum(1, keepdim=True)
    return torch.lerp(grey, views, factors[2]).clamp(0, 1)
