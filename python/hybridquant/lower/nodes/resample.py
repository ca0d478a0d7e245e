"""Operators that are linear along rows and columns: products with two constant matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.builder import Operand
from hybridquant.lower.fixed_point import check_requantized, multiplier
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering
from hybridquant.lower.sums import SUM_LIMIT, narrowed, product_codes

_ONE = 2**11
# Bicubic weights are between -0.11 and 1.
_WEIGHTS = Codes("int16", 1 / _ONE, 0, -2 * _ONE, 2 * _ONE)


@LOWERINGS.register("resample")
def lower_resample(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add ``rows @ (x @ columns)`` with weights of 11 bits and one rounding.

    This is bicubic and antialiased resizing, and average pooling with windows of unequal sizes.
    The products with ``columns`` are kept exact where 32 bits hold them, which is so for 8 bits.
    """
    x = lowering.operand(node, 0)
    rows, columns = (_matrix(lowering, node, x, axis) for axis in (-2, -1))
    exact = product_codes(x, columns)
    codes = narrowed(exact, (SUM_LIMIT - 1) // (x.shape[-2] * _WEIGHTS.highest))
    shape = (*x.shape[:-1], columns.shape[-1])
    half = lowering.add("matmul_sums", node, [x, columns], exact, shape=shape)
    half = lowering.requantized(node, half, codes)
    m, shift = multiplier(half.codes.scale * rows.codes.scale / wanted.scale)
    check_requantized(product_codes(rows, half).highest, m, shift)
    return lowering.add("matmul", node, [rows, half], wanted, {"m": m, "shift": shift})


for _kind in ("resize_bicubic", "adaptive_avg_pool2d"):
    LOWERINGS.register(_kind)(lower_resample)


def _matrix(lowering: Lowering, node: fx.Node, x: Operand, axis: int) -> Operand:
    """Return what the operator does along an axis, [out, in] for rows and [in, out] for columns.

    It is found by running the operator on one-hot images.
    """
    function: Callable[..., Tensor] = node.target  # type: ignore[assignment]
    size, rest = x.shape[axis], _arguments(node, axis)
    # A channel more than there are places: torch takes some images of one channel, row or column
    # for channels-last ones, and resizes those wrongly.
    other = -1 if axis == -2 else 1
    images = torch.eye(size + 1, size, dtype=torch.float64).unsqueeze(other)
    repeats = [1, 1, 2] if axis == -2 else [1, 2, 1]
    weights = function(images.repeat(repeats)[None], *rest)[0, :size].select(other, 0) * _ONE
    codes = _rounded(weights)
    name = f"{node.name}_{'rows' if axis == -2 else 'columns'}"
    return lowering.constant(name, codes.T if axis == -2 else codes, _WEIGHTS)


def _rounded(weights: Tensor) -> Tensor:
    """Return whole weights [in, out] of which each output's add up to what they should.

    Those that were rounded furthest are rounded the other way instead.
    """
    codes = torch.round(weights)
    missing = torch.round(weights.sum(0)) - codes.sum(0)
    lost = (weights - codes) * missing.sign()
    place = torch.sort(lost, dim=0, descending=True, stable=True).indices.argsort(0)
    return codes + missing.sign() * (place < missing.abs())


def _arguments(node: fx.Node, axis: int) -> list[Any]:
    """Return the operator's arguments for images that are two pixels wide, and stay so, elsewhere.

    The divisor of an average pooling counts for the rows alone.
    """
    rest = list(args_of(node)[1:])
    is_pooling = node.meta["kind"] == "avg_pool2d"
    for i, pair in enumerate(rest):
        if isinstance(pair, list):
            # Kernel, stride and padding, else sizes or factors (of float).
            same: float = (1, 1, 0)[i] if is_pooling else 2 if isinstance(pair[0], int) else 1.0
            rest[i] = [pair[0], same] if axis == -2 else [same, pair[1]]
    if is_pooling and rest[-1] is not None and axis == -1:
        rest[-1] = 1
    return rest
