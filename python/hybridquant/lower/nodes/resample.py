"""Operators that are linear along rows and columns: products with two constant matrices."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.fixed_point import check_requantized, multiplier
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering, Operand
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

    It is found by running the operator on one-hot images. Rounded weights of an output add up to
    what they should: the largest of them takes the rest.
    """
    function: Callable[..., Tensor] = node.target  # type: ignore[assignment]
    size, rest = x.shape[axis], list(args_of(node)[1:])
    for i, pair in enumerate(rest):
        if isinstance(pair, list):
            # Sizes, or factors (of float); the other axis is two pixels wide and stays so.
            same = type(pair[0])(2 if isinstance(pair[0], int) else 1)
            rest[i] = [pair[0], same] if axis == -2 else [same, pair[1]]
    # A channel more than there are places: torch takes some images of one channel, row or column
    # for channels-last ones, and resizes those wrongly.
    other = -1 if axis == -2 else 1
    images = torch.eye(size + 1, size, dtype=torch.float64).unsqueeze(other)
    repeats = [1, 1, 2] if axis == -2 else [1, 2, 1]
    weights = function(images.repeat(repeats)[None], *rest)[0, :size].select(other, 0) * _ONE
    codes = torch.round(weights)
    missing = torch.round(weights.sum(0, keepdim=True)) - codes.sum(0, keepdim=True)
    codes = codes.scatter_add(0, codes.argmax(0, keepdim=True), missing)
    name = f"{node.name}_{'rows' if axis == -2 else 'columns'}"
    return lowering.constant(name, codes.T if axis == -2 else codes, _WEIGHTS)
