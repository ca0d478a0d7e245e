"""Operators that only move codes."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering, Operand
from hybridquant.lower.narrow import narrowed_product
from hybridquant.lower.reader import shape_for_one


@LOWERINGS.register("move")
def lower_move(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a reshape, permutation, slice, expansion or selection of codes."""
    kind, arguments = node.meta["kind"], args_of(node)
    part = narrowed_product(lowering, node, wanted) if kind == "slice" else None
    if part is not None:
        return part
    x = lowering.codes_of(arguments[0], wanted)
    shape = shape_for_one(node)
    if kind in ("reshape", "expand", "expand_batch"):
        op = "reshape" if kind == "reshape" else "expand"
        return lowering.add(op, node, [x], wanted, {"shape": list(shape)})
    if kind == "permute":
        axes = [axis % len(shape) for axis in arguments[1]]
        return lowering.add("permute", node, [x], wanted, {"axes": axes})
    if kind == "slice":
        return lowering.add("slice", node, [x], wanted, _slice(x, arguments))
    axis = arguments[1] % len(x.shape)
    index = lowering.parameter(node, 2)
    if index is None:
        msg = "must select constant places"
        raise CannotLowerError(msg)
    places = index.to(torch.int32)
    return lowering.add("index_select", node, [x], wanted, {"axis": axis}, {"index": places})


def _slice(x: Operand, arguments: tuple[Any, ...]) -> dict[str, int]:
    axis = arguments[1] % len(x.shape)
    start, stop, step = slice(*arguments[2:5]).indices(x.shape[axis])
    return {"axis": axis, "start": start, "stop": stop, "step": step}
