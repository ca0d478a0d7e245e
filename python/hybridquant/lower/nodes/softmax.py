"""Softmax and its logarithm."""

from __future__ import annotations

import math

import torch
from torch import fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.builder import Operand
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.fixed_point import common_multipliers, multiplier, softmax_table
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering

# The sum of a row of exponentials, at most 2^16 each, fits 32 bits.
_LARGEST_ROW = 2**16
_LARGEST_M = 2**24
# The finest shares: exponentials of 16 bits tell no more.
_SHARES = Codes("int16", 1 / 65535, -(2**15), -(2**15), 2**15 - 1)


@LOWERINGS.register("softmax")
def lower_softmax(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a softmax with its table of exponentials; a change of codes behind it for finer codes."""
    axis = args_of(node)[1]
    x = lowering.swapped(node, lowering.operand(node, 0), axis)
    codes = wanted if round(2**8 / wanted.scale) < _LARGEST_M else _SHARES
    shares = lowering.requantized(node, _shares(lowering, node, x, codes), wanted)
    return lowering.swapped(node, shares, axis)


@LOWERINGS.register("log_softmax")
def lower_log_softmax(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add the distance from the largest input plus the logarithm of the largest share.

    The share is rounded to 16 bits, its logarithm too; the sum is rounded once more.
    """
    axis = args_of(node)[1]
    x = lowering.swapped(node, lowering.operand(node, 0), axis)
    top = _largest(lowering, node, x)
    dtype = "int16" if x.codes.count <= 2**15 else "int32"
    distances = Codes(dtype, x.codes.scale, 0, 1 - x.codes.count, 0)
    m, shift = common_multipliers(torch.tensor([1, -1], dtype=torch.float64))
    attributes = {"m": m.tolist(), "shift": shift}
    below = lowering.add("add", node, [x, top], distances, attributes, shape=x.shape)
    share = _largest(lowering, node, _shares(lowering, node, x, _SHARES))
    logs = Codes("int16", math.log(x.shape[-1] + 1) / 2**15, 0, -(2**15), 0)
    table = logs.quantize(_SHARES.all_values().log()).to(torch.int16)
    log = lowering.add("table", node, [share], logs, {}, {"table": table}, share.shape)
    factors = [codes.scale / wanted.scale for codes in (distances, logs)]
    m, shift = common_multipliers(torch.tensor(factors, dtype=torch.float64))
    attributes = {"m": m.tolist(), "shift": shift}
    result = lowering.add("add", node, [below, log], wanted, attributes, shape=x.shape)
    return lowering.swapped(node, result, axis)


def _shares(lowering: Lowering, node: fx.Node, x: Operand, codes: Codes) -> Operand:
    """Add a softmax over the last axis."""
    if x.shape[-1] >= _LARGEST_ROW:
        msg = f"must have rows below 2^16, got rows of {x.shape[-1]}"
        raise CannotLowerError(msg)
    attributes = {"form": "table", "m": round(2**8 / codes.scale)}
    constants = {"table": softmax_table(x.codes.scale, x.codes.count)}
    return lowering.add("softmax", node, [x], codes, attributes, constants, x.shape)


def _largest(lowering: Lowering, node: fx.Node, x: Operand) -> Operand:
    """Add the largest codes over the last axis."""
    m, shift = multiplier(1.0)
    attributes = {"axes": [len(x.shape) - 1], "keepdim": True, "m": m, "shift": shift}
    return lowering.add("amax", node, [x], x.codes, attributes, shape=(*x.shape[:-1], 1))
