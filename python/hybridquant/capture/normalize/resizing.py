"""Resizing images, by size or by factor."""

from __future__ import annotations

from typing import Any

from torch import fx

from hybridquant.capture.draft import Draft, aten, shape_of
from hybridquant.capture.graph import args_of
from hybridquant.capture.normalize.table import Result, bound, rewrites


@rewrites(aten.upsample_bilinear2d.vec, aten.upsample_bilinear2d.default)
def bilinear(draft: Draft, node: fx.Node) -> Result:
    """The form that takes a size or factors."""
    return _resize(draft, node, aten.upsample_bilinear2d.vec)


@rewrites(aten._upsample_bilinear2d_aa.vec, aten._upsample_bilinear2d_aa.default)
def bilinear_smooth(draft: Draft, node: fx.Node) -> Result:
    """As bilinear, with a low-pass filter."""
    return _resize(draft, node, aten._upsample_bilinear2d_aa.vec)


@rewrites(aten.upsample_bicubic2d.vec, aten.upsample_bicubic2d.default)
def bicubic(draft: Draft, node: fx.Node) -> Result:
    """As bilinear."""
    return _resize(draft, node, aten.upsample_bicubic2d.vec)


@rewrites(aten._upsample_bicubic2d_aa.vec, aten._upsample_bicubic2d_aa.default)
def bicubic_smooth(draft: Draft, node: fx.Node) -> Result:
    """As bicubic, with a low-pass filter."""
    return _resize(draft, node, aten._upsample_bicubic2d_aa.vec)


@rewrites(aten.upsample_nearest2d.vec, aten.upsample_nearest2d.default)
def nearest(draft: Draft, node: fx.Node) -> Result:
    """As bilinear."""
    return _resize(draft, node, aten.upsample_nearest2d.vec)


def _resize(draft: Draft, node: fx.Node, operator: Any) -> Result:
    """A resize to the same size goes; factors, where given, decide the sampling grid."""
    a = bound(node)
    x = args_of(node)[0]
    if shape_of(x) == shape_of(node):
        return x
    factors = a.get("scale_factors")
    if a.get("scales_h") is not None:
        factors = [a["scales_h"], a["scales_w"]]
    size = None if factors is not None else list(shape_of(node)[2:])
    align = (a["align_corners"],) if "align_corners" in a else ()
    return draft.call(operator, x, size, *align, factors)
