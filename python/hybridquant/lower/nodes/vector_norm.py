"""Lengths of vectors."""

from __future__ import annotations

import math

import torch
from torch import fx

from hybridquant.capture.graph import args_of, shape_for_one
from hybridquant.lower.builder import Operand
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.fixed_point import (
    check_requantized,
    common_multipliers,
    l2_epsilon,
    multiplier,
)
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering
from hybridquant.lower.sums import product_codes

# A normalised code has 20 fraction bits, of which 15 are kept.
_STEP = 2.0**-20
_UNIT = Codes("int16", 2.0**-15, 0, -(2**15), 2**15 - 1)


@LOWERINGS.register("vector_norm")
def lower_vector_norm(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add the product of each vector with itself divided by its length: an L2 norm and a matmul."""
    axes = sorted(axis % len(args_of(node)[0].meta["shape"]) for axis in args_of(node)[2])
    x = lowering.operand(node, 0)
    rest = [axis for axis in range(len(x.shape)) if axis not in axes]
    order = [*rest, *axes]
    shape = [x.shape[axis] for axis in order]
    vectors, count = math.prod(shape[: len(rest)]), math.prod(shape[len(rest) :])
    if count >= 2**20:
        msg = f"must be over fewer than 2^20 codes, got {count}"
        raise CannotLowerError(msg)
    if order != sorted(order):
        x = lowering.add("permute", node, [x], x.codes, {"axes": order}, shape=shape)
    rows = lowering.reshaped(node, x, (vectors, 1, count))
    m, shift = common_multipliers(torch.full((count,), _STEP / _UNIT.scale, dtype=torch.float64))
    attributes = {"epsilon": l2_epsilon(0.0, x.codes.scale), "shift": shift}
    constants = {"m": m, "beta": torch.zeros(count, dtype=torch.int64)}
    units = lowering.add("l2_norm", node, [rows], _UNIT, attributes, constants, rows.shape)
    columns = lowering.reshaped(node, units, (vectors, count, 1))
    sums = product_codes(rows, columns)
    m_out, shift_out = multiplier(sums.scale / wanted.scale)
    check_requantized(sums.highest, m_out, shift_out)
    attributes = {"m": m_out, "shift": shift_out}
    lengths = lowering.add("matmul", node, [rows, columns], wanted, attributes, {}, (vectors, 1, 1))
    return lowering.reshaped(node, lengths, shape_for_one(node))
