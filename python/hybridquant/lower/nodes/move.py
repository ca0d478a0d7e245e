"""Operators that only move codes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import fx

from hybridquant.capture.graph import args_of, shape_for_one
from hybridquant.lower.builder import C, ChannelOperand, Form, Operand
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.int_graph import ChannelCodes, Codes
from hybridquant.lower.lowering import CHANNEL_LOWERINGS, LOWERINGS, Lowering
from hybridquant.lower.narrow import narrowed_product


@LOWERINGS.register("move")
def lower_move(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a reshape, permutation, slice, expansion or selection of codes."""
    part = narrowed_product(lowering, node, wanted) if node.meta["kind"] == "slice" else None
    if part is not None:
        return part
    return _moved(lowering, node, lowering.codes_of(args_of(node)[0], wanted), wanted)


@CHANNEL_LOWERINGS.register("move")
def lower_move_by_channel(
    lowering: Lowering, node: fx.Node, wanted: ChannelCodes
) -> ChannelOperand | None:
    """Add the same where the channels with a scale each lie on one axis of the input, too."""
    before = _codes_before(node, wanted)
    if before is None:
        return None
    return _moved(lowering, node, lowering.codes_of(args_of(node)[0], before), wanted)


def _moved(lowering: Lowering, node: fx.Node, x: Form[C], wanted: C) -> Form[C]:
    kind, arguments, shape = node.meta["kind"], args_of(node), shape_for_one(node)
    if kind in ("reshape", "expand", "expand_batch"):
        op = "reshape" if kind == "reshape" else "expand"
        return lowering.add(op, node, [x], wanted, {"shape": list(shape)})
    if kind == "permute":
        axes = [axis % len(shape) for axis in arguments[1]]
        return lowering.add("permute", node, [x], wanted, {"axes": axes})
    if kind == "slice":
        return lowering.add("slice", node, [x], wanted, _slice(x.shape, arguments))
    axis = arguments[1] % len(x.shape)
    index = lowering.parameter(node, 2)
    if index is None:
        msg = "must select constant places"
        raise CannotLowerError(msg)
    places = index.to(torch.int32)
    return lowering.add("index_select", node, [x], wanted, {"axis": axis}, {"index": places})


def _slice(shape: tuple[int, ...], arguments: tuple[Any, ...]) -> dict[str, int]:
    axis = arguments[1] % len(shape)
    start, stop, step = slice(*arguments[2:5]).indices(shape[axis])
    return {"axis": axis, "start": start, "stop": stop, "step": step}


def _codes_before(node: fx.Node, wanted: ChannelCodes) -> ChannelCodes | None:
    """Return the codes of what is moved; None where they are not known, or not of one axis."""
    kind, arguments = node.meta["kind"], args_of(node)
    shape, before = shape_for_one(node), shape_for_one(arguments[0])
    if kind == "reshape":
        return _codes_before_reshape(wanted, shape, before)
    if kind == "permute":
        axis = arguments[1][wanted.axis] % len(shape)
    elif kind in ("slice", "index_select"):
        axis = wanted.axis if arguments[1] % len(shape) != wanted.axis else 0
    else:
        axis = wanted.axis - (len(shape) - len(before))
    is_known = axis > 0 and before[axis] == len(wanted.scales)
    return replace(wanted, axis=axis) if is_known else None


def _codes_before_reshape(
    wanted: ChannelCodes, shape: tuple[int, ...], before: tuple[int, ...]
) -> ChannelCodes | None:
    """Return the codes of an axis whose places belong to one channel each."""
    channels, behind = shape[wanted.axis], math.prod(shape[wanted.axis + 1 :])
    for axis in range(1, len(before)):
        # The channel of an element is its number // behind % channels.
        inner = math.prod(before[axis + 1 :])
        repeats = behind // inner
        if behind % inner == 0 and before[axis] % (channels * repeats) == 0:
            places = [i // repeats % channels for i in range(before[axis])]
            scales = tuple(wanted.scales[place] for place in places)
            zero_points = tuple(wanted.zero_points[place] for place in places)
            return replace(wanted, axis=axis, scales=scales, zero_points=zero_points)
    return None
