"""Models of timm; the functions are those of ``zoo.Zoo``."""

from __future__ import annotations

from typing import Any

import timm
from torch import nn

from hybridquant.data.data_config import DataConfig
from hybridquant.models.errors import reject

HUB = "the Hugging Face hub"


def names() -> list[str]:
    """Return the names of all architectures, alone and with the tag of each of their weights."""
    return sorted({*timm.list_models(), *timm.list_models(include_tags=True)})


def knows(name: str) -> bool:
    """Return whether ``name`` is an architecture, with or without the tag of its weights."""
    return bool(timm.is_model(name)) and ("." not in name or name in names())


def build(name: str, num_classes: int | None, pretrained: bool, **options: Any) -> nn.Module:
    """Return the model, with timm's weights where ``pretrained``, else random.

    Raises:
        OSError: If the weights cannot be downloaded.
        ValueError: If there are no weights.
    """
    if pretrained and not timm.models.is_model_pretrained(name):
        reject("pretrained", f"be False for {name}, which has no weights", "True")
    if num_classes is not None:
        options["num_classes"] = num_classes
    model: nn.Module = timm.create_model(name, pretrained=pretrained, **options)
    return model


def num_classes(name: str) -> int:
    """Return the size of the classifier by default."""
    return int(timm.get_pretrained_cfg_value(name, "num_classes"))


def classifier(module: nn.Module) -> str | None:
    """Return the path of the layer that gives the logits; the first where there are two."""
    config: Any = module.pretrained_cfg
    paths = config.get("classifier")
    path: str | None = paths[0] if isinstance(paths, tuple | list) else paths
    return path


def data_config(name: str, module: nn.Module) -> DataConfig:
    """Return how timm evaluates the model."""
    del name
    return DataConfig.from_mapping(timm.data.resolve_model_data_config(module))
