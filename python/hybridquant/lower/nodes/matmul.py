"""Products and quotients of two activations."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.builder import ChannelOperand, Operand
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.fixed_point import check_requantized, multiplier
from hybridquant.lower.int_graph import ChannelCodes, Codes
from hybridquant.lower.lowering import CHANNEL_LOWERINGS, LOWERINGS, Lowering
from hybridquant.lower.patterns import find_l2_norm
from hybridquant.lower.sums import (
    CODE_LIMIT,
    SUM_LIMIT,
    holds,
    operand_or_sums,
    product_codes,
    product_operands,
    sums_of,
    symmetric,
)

_DIVIDEND_LIMIT = 2**46 - 1
# Factors of quotients are below 2^14.
_FACTOR_BITS = 14


@LOWERINGS.register("matmul")
def lower_matmul(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a matrix product of two quantized inputs; its exact sums where they are wanted."""
    return _matmul(lowering, node, node, wanted, 1.0)


def _matmul(
    lowering: Lowering, node: fx.Node, product: fx.Node, wanted: Codes, factor: float
) -> Operand:
    """Add ``node``, which is the matrix product ``product`` times a positive number."""
    x, y = product_operands(lowering, product)
    sums = product_codes(x, y)
    sums = replace(sums, scale=sums.scale * factor)
    if sums.highest >= SUM_LIMIT:
        msg = f"its sums may reach {sums.highest}, beyond 2^47; use fewer bits"
        raise CannotLowerError(msg)
    if holds(wanted, sums):
        return lowering.add("matmul_sums", node, [x, y], wanted)
    m, shift = multiplier(sums.scale / wanted.scale)
    check_requantized(sums.highest, m, shift)
    return lowering.add("matmul", node, [x, y], wanted, {"m": m, "shift": shift})


@LOWERINGS.register("mul")
def lower_mul(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add an element-wise product; by a number it is a table, or a scale of exact sums."""
    first, second = args_of(node)[:2]
    if not isinstance(second, fx.Node):
        sums = sums_of(lowering, first)
        if sums is None or second <= 0:
            return LOWERINGS["table"](lowering, node, wanted)
        if first.meta["kind"] == "matmul" and first not in lowering.float_names:
            return _matmul(lowering, node, first, wanted, float(second))
        return lowering.requantized(node, lowering.codes_of(first, sums), wanted, float(second))
    x, y = product_operands(lowering, node, depth=1)
    largest = x.codes.magnitude * y.codes.magnitude
    m, shift = multiplier(x.codes.scale * y.codes.scale / wanted.scale)
    check_requantized(largest, m, shift)
    return lowering.add("mul", node, [x, y], wanted, {"m": m, "shift": shift})


@CHANNEL_LOWERINGS.register("mul")
def lower_mul_by_channel(
    lowering: Lowering, node: fx.Node, wanted: ChannelCodes
) -> ChannelOperand | None:
    """Add the table of a tensor and a number."""
    first, second = args_of(node)[:2]
    if isinstance(second, fx.Node) or sums_of(lowering, first) is not None:
        return None
    return CHANNEL_LOWERINGS["table"](lowering, node, wanted)


@LOWERINGS.register("div")
def lower_div(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add an element-wise quotient, or an L2 norm where it is one."""
    if find_l2_norm(node) is not None:
        return LOWERINGS["l2_norm"](lowering, node, wanted)
    x = operand_or_sums(lowering, node, 0, _DIVIDEND_LIMIT)
    y = operand_or_sums(lowering, node, 1)
    bits = _missing_bits(x, y, wanted)
    if x.codes.magnitude << bits <= CODE_LIMIT:
        finer = symmetric(x.codes.scale / 2**bits, x.codes.magnitude << bits)
        x = lowering.requantized(node, x, finer) if bits else x
    else:
        y = operand_or_sums(lowering, node, 1, y.codes.magnitude >> bits)
    m, shift = multiplier(x.codes.scale / (y.codes.scale * wanted.scale), bits=15)
    return lowering.add("div", node, [x, y], wanted, {"m": m, "shift": shift})


def _missing_bits(x: Operand, y: Operand, wanted: Codes) -> int:
    """Return by how many bits the factor of a quotient is too large for a multiplier.

    So many the dividend has too few, or, where it is a large sum, the divisor too many.
    """
    factor = x.codes.scale / (y.codes.scale * wanted.scale)
    return max(0, math.frexp(factor)[1] - _FACTOR_BITS)
