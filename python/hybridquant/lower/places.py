"""Operators that copy values from places that do not depend on the values."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of, shape_for_one
from hybridquant.lower.builder import Operand
from hybridquant.lower.lowering import Lowering


def selected(lowering: Lowering, node: fx.Node, x: Operand) -> Operand:
    """Return what ``node`` copies from ``x``, one axis after the other.

    Where from is found by running the operator on the places themselves.

    Args:
        lowering: The lowering.
        node: An operator that takes each axis behind the channels on its own.
        x: Its input.
    """
    function: Callable[..., Tensor] = node.target  # type: ignore[assignment]
    rest, shape = args_of(node)[1:], list(x.shape)
    for axis in range(2, len(shape)):
        places = torch.arange(x.shape[axis], dtype=torch.float64)
        sizes = [-1 if i == axis else 1 for i in range(len(shape))]
        grid = places.reshape(sizes).expand(1, 1, *x.shape[2:])
        picked = function(grid, *rest).movedim(axis, 0).flatten(1)[:, 0].to(torch.int32)
        shape[axis] = shape_for_one(node)[axis]
        if picked.tolist() != list(range(x.shape[axis])):
            constants = {"index": picked.contiguous()}
            attributes = {"axis": axis}
            x = lowering.add("index_select", node, [x], x.codes, attributes, constants, shape)
    return x
