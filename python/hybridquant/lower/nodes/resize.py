"""Bilinear and nearest resizing."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of, shape_for_one
from hybridquant.lower.builder import Operand
from hybridquant.lower.fixed_point import multiplier
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering
from hybridquant.lower.places import selected

_ONE = 2**11


@LOWERINGS.register("resize_nearest")
def lower_resize_nearest(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add selections of rows and columns, behind a change of codes where they differ."""
    return selected(lowering, node, lowering.recoded(args_of(node)[0], wanted))


@LOWERINGS.register("resize_bilinear")
def lower_resize_bilinear(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a bilinear resizing with weights of 11 bits along each axis."""
    if node.target is not torch.ops.aten.upsample_bilinear2d.vec:
        return LOWERINGS["resample"](lowering, node, wanted)
    x = lowering.operand(node, 0)
    _, _, align_corners, factors = args_of(node)[:4]
    shape = shape_for_one(node)
    constants = {}
    for axis, name in ((-2, "rows"), (-1, "columns")):
        factor = None if factors is None else factors[axis]
        low, high, weight = _taps(x.shape[axis], shape[axis], bool(align_corners), factor)
        constants[f"{name}_low"], constants[f"{name}_high"] = low, high
        constants[f"{name}_weight"] = weight
    m, shift = multiplier(x.codes.scale / (_ONE * _ONE * wanted.scale))
    return lowering.add("resize_bilinear", node, [x], wanted, {"m": m, "shift": shift}, constants)


def _taps(
    size: int, wanted: int, align_corners: bool, factor: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the two sources of each output position and the weight of the second, int32."""
    places = torch.arange(wanted, dtype=torch.float64)
    if align_corners:
        source = places * ((size - 1) / (wanted - 1) if wanted > 1 else 0.0)
    else:
        step = size / wanted if factor is None else 1 / factor
        source = ((places + 0.5) * step - 0.5).clamp(min=0)
    low = source.floor().clamp(max=size - 1)
    high = (low + 1).clamp(max=size - 1)
    weight = torch.round((source - low) * _ONE).clamp(0, _ONE)
    return low.to(torch.int32), high.to(torch.int32), weight.to(torch.int32)
