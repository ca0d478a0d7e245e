"""A model together with what is needed to feed and to judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from hybridquant.data.data_config import DataConfig


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """What ``load_model`` returns.

    Args:
        name: The name it was asked for by.
        module: The model in eval mode, float32: images [batch, *data_config.input_size] to logits.
            But for a user's factory, it has the next as its attribute ``data_config``.
        data_config: How photographs become its input.
        classes: Names of its classes in the order of the logits; None where unknown.
        card: Facts about a reference checkpoint (origin, training, accuracy); None for others.
        is_random: Whether the weights are untrained, so that its accuracy means nothing.
    """

    name: str
    module: nn.Module
    data_config: DataConfig
    classes: tuple[str, ...] | None = None
    card: Mapping[str, Any] | None = None
    is_random: bool = False
