"""Average and maximum pooling of images."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.builder import Operand
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.fixed_point import multipliers
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering


@LOWERINGS.register("avg_pool2d")
def lower_avg_pool2d(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add an average pooling with a multiplier for each number of positions under the window.

    Where windows reach beyond the padded image (``ceil_mode``) it is two matrix products.
    """
    x = lowering.operand(node, 0)
    kernel, stride, padding, ceil, count_padding, divisor = args_of(node)[1:7]
    window = {"kernel": list(kernel), "stride": list(stride), "padding": list(padding)}
    if ceil and _is_beyond(x, window):
        return LOWERINGS["resample"](lowering, node, wanted)
    largest = math.prod(kernel)
    counts = torch.arange(1, largest + 1, dtype=torch.float64)
    if divisor is not None or count_padding:
        counts = torch.full_like(counts, divisor or largest)
    m, shift = multipliers(x.codes.scale / (counts * wanted.scale))
    return lowering.add("avg_pool2d", node, [x], wanted, window, {"m": m, "shift": shift})


@LOWERINGS.register("max_pool2d")
def lower_max_pool2d(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a maximum pooling of codes, followed by a change of codes where they differ.

    Where windows reach beyond the padded image or have gaps, the entries under them are laid out
    side by side first.
    """
    x = lowering.operand(node, 0)
    kernel, stride, padding, dilation, ceil = args_of(node)[1:6]
    window = {"kernel": list(kernel), "stride": list(stride), "padding": list(padding)}
    if (ceil and _is_beyond(x, window)) or any(gap != 1 for gap in dilation):
        for axis in (0, 1):
            places = _places(node, x, axis)
            shape = [*x.shape[: axis + 2], len(places), *x.shape[axis + 3 :]]
            attributes, constants = {"axis": axis + 2}, {"index": places}
            x = lowering.add("index_select", node, [x], x.codes, attributes, constants, shape)
        window = {"kernel": list(kernel), "stride": list(kernel), "padding": [0, 0]}
    pooled = lowering.add("max_pool2d", node, [x], x.codes, window)
    return lowering.requantized(node, pooled, wanted)


def _is_beyond(x: Operand, window: dict[str, Any]) -> bool:
    """Tell whether the last window of an axis ends behind the padding."""
    return any(
        (x.shape[axis + 2] + 2 * window["padding"][axis] - window["kernel"][axis])
        % window["stride"][axis]
        for axis in (0, 1)
    )


def _places(node: fx.Node, x: Operand, axis: int) -> Tensor:
    """Return where along an axis the windows' entries are, window by window, int32.

    An entry outside of the image is replaced by one of the same window inside: a maximum does not
    count its entries.

    Raises:
        CannotLowerError: If a window has no entry inside the image.
    """
    kernel, stride, padding, dilation = (args_of(node)[i][axis] for i in (1, 2, 3, 4))
    size, windows = x.shape[axis + 2], node.meta["shape"][axis + 2]
    starts = torch.arange(windows)[:, None] * stride - padding
    places = starts + torch.arange(kernel) * dilation
    is_inside = (places >= 0) & (places < size)
    if not bool(is_inside.any(1).all()):
        msg = f"has windows without an entry of the image of {size}; use less padding"
        raise CannotLowerError(msg)
    some = places.gather(1, is_inside.int().argmax(1, keepdim=True))
    return torch.where(is_inside, places, some).flatten().to(torch.int32)
