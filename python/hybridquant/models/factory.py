"""Models of the user's own, by the name of a function that makes them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from torch import nn

from hybridquant.data.data_config import DataConfig
from hybridquant.models.errors import reject


def build(name: str) -> nn.Module:
    """Return what the factory ``package.module:function`` makes when called without arguments.

    Raises:
        ValueError: If there is no such module or function, or it makes no ``nn.Module``.
    """
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        got = f"{name!r} ({type(error).__name__}: {error})"
        reject("name", "name a module that can be imported", got)
    function: Any = getattr(module, attribute, None)
    if not callable(function):
        reject("name", f"name a function of {module_name}", repr(name))
    try:
        model: object = function()
    except Exception as error:
        got = f"{name!r} ({type(error).__name__}: {error})"
        reject("name", "name a factory that works without arguments", got)
    if not isinstance(model, nn.Module):
        reject("name", "name a factory of an nn.Module", f"{name!r}: {type(model).__name__}")
    return model


def state_data_config(module: nn.Module, config: DataConfig) -> nn.Module:
    """Let a module state its preprocessing, for ``data_config``; return it."""
    # Not by setattr, which type checkers take to be of tensors and modules.
    module.__dict__["data_config"] = config
    return module


def data_config(module: nn.Module) -> DataConfig:
    """Return the preprocessing that the model states, else ImageNet's usual one at 224 x 224.

    It is stated by an attribute ``data_config`` (a ``DataConfig`` or a mapping of its fields) or
    ``pretrained_cfg`` (timm's).
    """
    for attribute in ("data_config", "pretrained_cfg"):
        value = getattr(module, attribute, None)
        if isinstance(value, DataConfig):
            return value
        if isinstance(value, Mapping):
            return DataConfig.from_mapping(value)
    return DataConfig()
