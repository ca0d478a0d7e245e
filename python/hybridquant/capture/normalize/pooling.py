"""Pooling, resizing and reductions."""

from __future__ import annotations

from typing import Any

from torch import fx

from hybridquant.capture.draft import Draft, aten, has_batch, shape_of
from hybridquant.capture.errors import UnsupportedOperatorError
from hybridquant.capture.normalize.table import bound, pair, rewrites


@rewrites(aten.adaptive_avg_pool2d.default, aten._adaptive_avg_pool2d.default)
def adaptive_avg_pool(draft: Draft, node: fx.Node) -> fx.Node:
    """A mean over the plane, or equal windows where the sizes divide."""
    x = node.args[0]
    before, after = shape_of(x)[-2:], shape_of(node)[-2:]
    if tuple(before) == tuple(after):
        return x
    rank = len(shape_of(x))
    if tuple(after) == (1, 1):
        return draft.call(aten.mean.dim, x, [rank - 2, rank - 1], True)
    window = _window(node, before, after)
    return draft.call(aten.avg_pool2d.default, x, window, window, [0, 0], False, True, None)


def _window(node: fx.Node, before: tuple[int, ...], after: tuple[int, ...]) -> list[int]:
    if any(size % parts for size, parts in zip(before, after)):
        reason = f"cuts {tuple(before)} into {tuple(after)} unequal windows"
        raise UnsupportedOperatorError(str(node.target), node.meta["path"], reason)
    return [size // parts for size, parts in zip(before, after)]


@rewrites(aten.adaptive_max_pool2d.default)
def adaptive_max_pool(draft: Draft, node: fx.Node) -> list[fx.Node]:
    """A maximum over the plane, or equal windows where the sizes divide."""
    x = node.args[0]
    before, after = shape_of(x)[-2:], tuple(pair(node.args[1]))
    if after == (1, 1):
        return [draft.call(aten.amax.default, x, [2, 3], True)]
    window = _window(node, before, after)
    return [draft.call(aten.max_pool2d.default, x, window, window, [0, 0], [1, 1], False)]


@rewrites(aten.adaptive_avg_pool1d.default)
def adaptive_avg_pool1d(draft: Draft, node: fx.Node) -> fx.Node:
    """Equal windows on the last axis."""
    x = node.args[0]
    (window,) = _window(node, shape_of(x)[-1:], shape_of(node)[-1:])
    shape = (*shape_of(x)[:-1], shape_of(node)[-1], window)
    return draft.call(aten.mean.dim, draft.reshape(x, shape), [len(shape) - 1], False)


@rewrites(aten.avg_pool2d.default)
def avg_pool(draft: Draft, node: fx.Node) -> fx.Node:
    """All arguments are given, with two ints each."""
    a = bound(node)
    kernel = pair(a["kernel_size"])
    stride = pair(a["stride"]) if a["stride"] else kernel
    padding = pair(a["padding"])
    tail = (a["ceil_mode"], a["count_include_pad"], a["divisor_override"])
    return draft.call(aten.avg_pool2d.default, a["self"], kernel, stride, padding, *tail)


@rewrites(aten.max_pool2d.default)
def max_pool(draft: Draft, node: fx.Node) -> fx.Node:
    """All arguments are given, with two ints each."""
    return _max_pool(draft, node)


@rewrites(aten.max_pool2d_with_indices.default)
def max_pool_with_indices(draft: Draft, node: fx.Node) -> list[fx.Node]:
    """The form with one output."""
    return [_max_pool(draft, node)]


def _max_pool(draft: Draft, node: fx.Node) -> fx.Node:
    a = bound(node)
    kernel = pair(a["kernel_size"])
    stride = pair(a["stride"]) if a["stride"] else kernel
    spatial = (kernel, stride, pair(a["padding"]), pair(a["dilation"]))
    return draft.call(aten.max_pool2d.default, a["self"], *spatial, a["ceil_mode"])


@rewrites(
    aten.upsample_bilinear2d.vec,
    aten.upsample_bilinear2d.default,
    aten._upsample_bilinear2d_aa.vec,
    aten._upsample_bilinear2d_aa.default,
)
def resize_bilinear(draft: Draft, node: fx.Node) -> fx.Node:
    """Given by the output size; a resize to the same size goes."""
    a = bound(node)
    x = a.get("input", a.get("self"))
    if tuple(shape_of(x)[2:]) == tuple(shape_of(node)[2:]):
        return x
    smooth = "_aa" in str(node.target)
    operator = aten._upsample_bilinear2d_aa.vec if smooth else aten.upsample_bilinear2d.vec
    return draft.call(operator, x, *_target_size(a, node), a["align_corners"], _factors(a))


@rewrites(aten.upsample_bicubic2d.vec, aten.upsample_bicubic2d.default)
def resize_bicubic(draft: Draft, node: fx.Node) -> fx.Node:
    """As resize_bilinear."""
    a = bound(node)
    x = a.get("input", a.get("self"))
    if tuple(shape_of(x)[2:]) == tuple(shape_of(node)[2:]):
        return x
    operator = aten.upsample_bicubic2d.vec
    return draft.call(operator, x, *_target_size(a, node), a["align_corners"], _factors(a))


@rewrites(aten.upsample_nearest2d.vec, aten.upsample_nearest2d.default)
def resize_nearest(draft: Draft, node: fx.Node) -> fx.Node:
    """As resize_bilinear."""
    a = bound(node)
    x = a.get("input", a.get("self"))
    if tuple(shape_of(x)[2:]) == tuple(shape_of(node)[2:]):
        return x
    operator = aten.upsample_nearest2d.vec
    return draft.call(operator, x, *_target_size(a, node), _factors(a))


def _factors(a: dict[str, Any]) -> list[float] | None:
    """Return the scale factors, which decide the sampling grid where they are given."""
    given = a.get("scale_factors")
    if given is None and a.get("scales_h") is not None:
        given = [a["scales_h"], a["scales_w"]]
    return given


def _target_size(a: dict[str, Any], node: fx.Node) -> list[list[int] | None]:
    return [None if _factors(a) is not None else list(shape_of(node)[2:])]


@rewrites(aten.mean.default, aten.sum.default)
def over_all(_draft: Draft, node: fx.Node) -> fx.Node:
    """A mean or sum over everything mixes images."""
    raise UnsupportedOperatorError(str(node.target), node.meta["path"], "mixes images")


@rewrites(aten.mean.dim, aten.sum.dim_IntList, aten.amax.default, aten.amin.default)
def reduce(draft: Draft, node: fx.Node) -> fx.Node:
    """The axes are counted from the front."""
    a = bound(node)
    rank = len(shape_of(a["self"]))
    axes = sorted(dim % rank for dim in (a["dim"] or range(rank)))
    if any(has_batch(shape_of(a["self"])[axis]) for axis in axes):
        raise UnsupportedOperatorError(str(node.target), node.meta["path"], "mixes images")
    return draft.call(node.target, a["self"], axes, a["keepdim"])


@rewrites(aten.max.dim, aten.min.dim)
def max_dim(draft: Draft, node: fx.Node) -> list[fx.Node]:
    """The largest or smallest value on one axis, without its place."""
    a = bound(node)
    if any(user.args[1] == 1 and user.users for user in node.users):
        reason = "is asked for the place of the value"
        raise UnsupportedOperatorError(str(node.target), node.meta["path"], reason)
    operator = aten.amax.default if node.target == aten.max.dim else aten.amin.default
    axis = a["dim"] % len(shape_of(a["self"]))
    return [draft.call(operator, a["self"], [axis], a["keepdim"])]
