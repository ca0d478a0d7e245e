"""Exact sums: what an edge behind a matrix product carries that the recipe leaves unquantized."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from torch import fx

from hybridquant.capture.graph import args_of
from hybridquant.capture.vocabulary import LAYOUT_KINDS
from hybridquant.lower.builder import Operand
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.int_graph import ChannelCodes, Codes
from hybridquant.lower.lowering import Lowering
from hybridquant.quant_graph import reads_product

# What kernels take: products of two tensors below 2^47, each below 2^31.
SUM_LIMIT = 2**47
CODE_LIMIT = 2**30


def sums_of(lowering: Lowering, node: Any) -> Codes | None:
    """Return the codes that hold the sums of a matrix product as they are; None where none are.

    They pass through operators that move codes, add a number or multiply by a positive one.
    """
    if not reads_product(node) or lowering.fake_quant(node) is not None:
        return None
    kind, arguments = node.meta["kind"], args_of(node)
    if kind == "matmul":
        x, y = product_operands(lowering, node)
        return product_codes(x, y)
    sums = sums_of(lowering, arguments[0])
    if sums is None or kind in LAYOUT_KINDS:
        return sums
    if kind == "mul":
        return replace(sums, scale=sums.scale * float(arguments[1]))
    return symmetric(sums.scale, sums.highest + abs(offset_of(node, sums)))


def offset_of(node: fx.Node, sums: Codes) -> int:
    """Return the number that an ``add`` adds to sums, in their steps."""
    return round(float(args_of(node)[1]) / sums.scale)


def holds(wanted: Codes, sums: Codes) -> bool:
    """Tell whether sums are what is wanted, without a rounding."""
    is_wide = wanted.dtype in ("int32", "int64") and wanted.zero_point == 0
    # A scale that was multiplied by a number and divided by it again may differ in its last bit.
    is_equal = math.isclose(wanted.scale, sums.scale, rel_tol=1e-12)
    return is_wide and is_equal and wanted.lowest <= sums.lowest and sums.highest <= wanted.highest


def operand_or_sums(
    lowering: Lowering, node: fx.Node, position: int, limit: int = CODE_LIMIT
) -> Operand:
    """Return an input in the codes of its fake-quant module; without one, the sums it reads.

    Args:
        lowering: The lowering.
        node: The operator.
        position: Of the input.
        limit: Largest magnitude of the codes: of sums beyond it, the last bits are rounded off.

    Raises:
        CannotLowerError: If the input has no fake-quant module and is no matrix product.
    """
    argument = args_of(node)[position]
    sums = sums_of(lowering, argument)
    if sums is None:
        return lowering.operand(node, position)
    return lowering.codes_of(argument, narrowed(sums, limit))


def narrowed(sums: Codes, limit: int) -> Codes:
    """Return codes of the same values whose magnitude is at most ``limit``.

    Where that takes a rounding they have 32 bits, which is what a product can be rounded to.
    """
    if sums.highest <= limit:
        return sums
    limit = min(limit, CODE_LIMIT)
    bits = sums.highest.bit_length() - limit.bit_length() + 1
    return symmetric(sums.scale * 2**bits, (sums.highest >> bits) + 1)


def product_operands(lowering: Lowering, node: fx.Node, depth: int | None = None) -> list[Operand]:
    """Return both inputs of a product, sums among them, so small that products fit ``SUM_LIMIT``.

    Args:
        lowering: The lowering.
        node: A ``matmul`` or ``mul``.
        depth: Number of products in a sum; by default that of the matrix product.
    """
    if depth is None:
        depth = args_of(node)[0].meta["shape"][-1]
        _check_scales(lowering, node)
    room = (SUM_LIMIT - 1) // depth
    is_sums = [sums_of(lowering, argument) is not None for argument in args_of(node)[:2]]
    if all(is_sums):
        limits = [math.isqrt(room)] * 2
    else:
        known = [lowering.operand(node, i).codes.magnitude for i in (0, 1) if not is_sums[i]]
        limits = [room // max(1, *known)] * 2
    return [operand_or_sums(lowering, node, i, min(limits[i], CODE_LIMIT)) for i in (0, 1)]


def _check_scales(lowering: Lowering, node: fx.Node) -> None:
    """Check that a matrix product does not add up over channels of several scales."""
    for position, argument in enumerate(args_of(node)[:2]):
        codes = lowering.format_of(argument)
        summed = len(argument.meta["shape"]) - 1 - position
        if isinstance(codes, ChannelCodes) and codes.axis == summed:
            msg = (
                f"adds up over channels of several scales in input {position}; use granularity: "
                "tensor or head for it, or the pass reparameterize, which folds the scales into "
                "the weights before it"
            )
            raise CannotLowerError(msg)


def product_codes(x: Operand, y: Operand) -> Codes:
    """Return the codes of a matrix product's sums."""
    largest = x.shape[-1] * x.codes.magnitude * y.codes.magnitude
    return symmetric(x.codes.scale * y.codes.scale, largest)


def symmetric(scale: float, largest: int) -> Codes:
    """Return codes of at least 32 bits from ``-largest`` to ``largest``."""
    return Codes("int32" if largest < 2**31 else "int64", scale, 0, -largest, largest)
