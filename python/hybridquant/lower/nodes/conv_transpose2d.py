"""Transposed convolutions: convolutions of the image with zeros put between its pixels."""

from __future__ import annotations

from torch import fx

from hybridquant.capture.graph import args_of, shape_for_one
from hybridquant.lower.builder import Operand
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering
from hybridquant.lower.products import add_product, check_scales
from hybridquant.lower.weights import transposed_weights


@LOWERINGS.register("conv_transpose2d")
def lower_conv_transpose2d(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a convolution with the weights turned round, of the image stretched by the stride.

    Cost: that of a convolution at the output's size; the zeros are multiplied too.
    """
    check_scales(lowering, node)
    x, weights = lowering.operand(node, 0), transposed_weights(lowering, node)
    stride, padding, more, groups, dilation = args_of(node)[3:8]
    low, high = [], []
    for axis in (0, 1):
        reach = dilation[axis] * (weights.codes.shape[axis + 2] - 1)
        low.append(reach - padding[axis])
        # The stride's zeros behind the last pixel are there already.
        high.append(reach - padding[axis] + more[axis] - (stride[axis] - 1))
    x = _stretched(lowering, node, x, stride)
    both = [max(0, min(low[axis], high[axis])) for axis in (0, 1)]
    for axis in (0, 1):
        x = _bordered(lowering, node, x, axis + 2, low[axis] - both[axis], high[axis] - both[axis])
    window = {"stride": [1, 1], "padding": both, "dilation": list(dilation), "groups": groups}
    return add_product(lowering, node, wanted, x, weights, window, shape_for_one(node))


def _stretched(lowering: Lowering, node: fx.Node, x: Operand, stride: list[int]) -> Operand:
    """Return an image with ``stride - 1`` zeros behind each row and column."""
    if list(stride) == [1, 1]:
        return x
    images, channels, height, width = x.shape
    x = lowering.reshaped(node, x, (images, channels, height, 1, width, 1))
    shape = (images, channels, height, stride[0], width, stride[1])
    attributes = {"amounts": [0, stride[1] - 1, 0, 0, 0, stride[0] - 1], "code": x.codes.zero_point}
    x = lowering.add("pad", node, [x], x.codes, attributes, shape=shape)
    return lowering.reshaped(node, x, (images, channels, height * stride[0], width * stride[1]))


def _bordered(
    lowering: Lowering, node: fx.Node, x: Operand, axis: int, low: int, high: int
) -> Operand:
    """Return an image with so many more zeros before and behind; with fewer where negative."""
    if low < 0 or high < 0:
        start, stop = max(0, -low), x.shape[axis] - max(0, -high)
        part = {"axis": axis, "start": start, "stop": stop, "step": 1}
        shape = [*x.shape[:axis], stop - start, *x.shape[axis + 1 :]]
        x = lowering.add("slice", node, [x], x.codes, part, shape=shape)
    amounts = [0, 0] * (len(x.shape) - 1 - axis) + [max(0, low), max(0, high)]
    if not any(amounts):
        return x
    shape = [*x.shape[:axis], x.shape[axis] + sum(amounts), *x.shape[axis + 1 :]]
    attributes = {"amounts": amounts, "code": x.codes.zero_point}
    return lowering.add("pad", node, [x], x.codes, attributes, shape=shape)
