"""Classification models of torchvision; the functions are those of ``zoo.Zoo``."""

from __future__ import annotations

import math
from typing import Any

from torch import nn
from torchvision import models

from hybridquant.data.data_config import DataConfig

HUB = "download.pytorch.org"


def names() -> list[str]:
    """Return the names of all classification models."""
    return list(models.list_models(module=models))


def knows(name: str) -> bool:
    """Return whether ``name`` is a classification model."""
    return name in names()


def build(name: str, num_classes: int | None, pretrained: bool, **options: Any) -> nn.Module:
    """Return the model, with torchvision's newest weights where ``pretrained``, else random.

    Raises:
        OSError: If the weights cannot be downloaded.
    """
    if num_classes is not None:
        options["num_classes"] = num_classes
    weights = "DEFAULT" if pretrained else None
    model: nn.Module = models.get_model(name, weights=weights, **options)
    return model


def num_classes(name: str) -> int:
    """Return the size of the classifier by default."""
    return len(models.get_model_weights(name).DEFAULT.meta["categories"])


def classifier(module: nn.Module) -> str | None:
    """Return the path of the layer that gives the logits: the last linear one.

    SqueezeNet has none; there it is the last convolution.
    """
    layers = list(module.named_modules())
    paths: list[str] = []
    for kind in (nn.Conv2d, nn.Linear):
        paths += [path for path, layer in layers if isinstance(layer, kind)]
    return paths[-1]


def data_config(name: str, module: nn.Module) -> DataConfig:
    """Return the preprocessing that belongs to torchvision's newest weights."""
    del module
    preset = models.get_model_weights(name).DEFAULT.transforms()
    crop, resize = preset.crop_size[0], preset.resize_size[0]
    crop_pct = crop / resize
    if math.floor(crop / crop_pct) < resize:
        # The transform divides and rounds down, which may lose a pixel.
        crop_pct = math.nextafter(crop_pct, 0)
    return DataConfig(
        input_size=(3, crop, crop),
        interpolation=preset.interpolation.value,
        crop_pct=crop_pct,
        crop_mode="center",
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )
