"""What a library of models offers here; timm_zoo.py and torchvision_zoo.py are two."""

from __future__ import annotations

import importlib
from typing import Any, Protocol, cast

from torch import nn

from hybridquant.data.data_config import DataConfig

ZOOS = ("timm", "torchvision")
"""The libraries, in the order in which a name without prefix is looked up."""


class Zoo(Protocol):
    """A library of models."""

    HUB: str

    def names(self) -> list[str]:
        """Return the names of all models."""

    def knows(self, name: str) -> bool:
        """Return whether there is a model ``name``."""

    def build(
        self, name: str, num_classes: int | None, pretrained: bool, **options: Any
    ) -> nn.Module:
        """Return the model, with the library's weights where ``pretrained``, else random.

        Args:
            name: Of the architecture.
            num_classes: Size of the classifier; None is the library's.
            pretrained: Whether to download the weights.
            options: Further arguments of the architecture, e.g. ``img_size``.

        Raises:
            OSError: If the weights cannot be downloaded.
            ValueError: If there are no such weights.
        """

    def num_classes(self, name: str) -> int:
        """Return the size of the model's classifier by default."""

    def classifier(self, module: nn.Module) -> str | None:
        """Return the path of the layer that gives the logits, where it is known."""

    def data_config(self, name: str, module: nn.Module) -> DataConfig:
        """Return how the library evaluates the model."""


def get_zoo(library: str) -> Zoo:
    """Return a library of models; imported here, since it takes seconds."""
    return cast("Zoo", importlib.import_module(f"hybridquant.models.{library}_zoo"))


def imagenet_classes() -> tuple[str, ...]:
    """Return the names (WordNet ids) of the 1,000 ImageNet classes in their usual order."""
    from timm.data import ImageNetInfo

    return tuple(ImageNetInfo("imagenet-1k").label_names())
