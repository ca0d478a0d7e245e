"""Functions that nodes of an integer model call: operators that stay in float."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridquant.lower.int_graph import Function

ArrayFunction = Callable[[list[NDArray[Any]]], NDArray[Any]]


def checked_functions(functions: object) -> dict[str, Function]:
    """Return functions by name.

    Args:
        functions: A mapping of names to functions, or None for none.

    Raises:
        TypeError: If it is neither.
    """
    if functions is None:
        return {}
    if not isinstance(functions, Mapping) or not all(map(callable, functions.values())):
        msg = f"IntegerModel: functions must be a mapping of names to functions, got {functions!r}"
        raise TypeError(msg)
    return dict(functions)


def on_arrays(functions: Mapping[str, Function]) -> dict[str, ArrayFunction]:
    """Return the functions as the engine calls them, with arrays."""
    return {name: _on_arrays(name, function) for name, function in functions.items()}


def _on_arrays(name: str, function: Function) -> ArrayFunction:
    """Return the function as the engine calls it."""

    def call(codes: list[NDArray[Any]]) -> NDArray[Any]:
        result = function([torch.from_numpy(array) for array in codes])
        if not isinstance(result, Tensor):
            msg = (
                f"IntegerModel: function {name!r} must return a tensor, got {type(result).__name__}"
            )
            raise TypeError(msg)
        return result.detach().cpu().numpy()

    return call
