"""Pooling and reductions."""

from __future__ import annotations

import torch
from torch import fx

from hybridquant.capture.draft import Draft, aten, has_batch, shape_of
from hybridquant.capture.errors import unsupported
from hybridquant.capture.graph import args_of
from hybridquant.capture.normalize.table import Result, bound, pair, rewrites


@rewrites(aten.adaptive_avg_pool2d.default, aten._adaptive_avg_pool2d.default)
def adaptive_avg_pool(draft: Draft, node: fx.Node) -> Result:
    """A mean over the plane, equal windows where the sizes divide, else as it is."""
    x = args_of(node)[0]
    before, after = shape_of(x)[-2:], shape_of(node)[-2:]
    if before == after:
        return x
    rank = len(shape_of(x))
    if after == (1, 1):
        return draft.call(aten.mean.dim, x, [rank - 2, rank - 1], True)
    if any(size % parts for size, parts in zip(before, after, strict=True)):
        return draft.call(aten.adaptive_avg_pool2d.default, x, list(after))
    window = [size // parts for size, parts in zip(before, after, strict=True)]
    return draft.call(aten.avg_pool2d.default, x, window, window, [0, 0], False, True, None)


@rewrites(aten.adaptive_max_pool2d.default)
def adaptive_max_pool(draft: Draft, node: fx.Node) -> Result:
    """A maximum over the plane, or over windows; unequal ones are laid out as equal ones first."""
    x = args_of(node)[0]
    after = tuple(pair(args_of(node)[1]))
    if after == (1, 1):
        return [draft.call(aten.amax.default, x, [2, 3], True)]
    for axis in (2, 3):
        x = _equal_windows(draft, x, axis, after[axis - 2])
    window = [size // parts for size, parts in zip(shape_of(x)[2:], after, strict=True)]
    return [draft.call(aten.max_pool2d.default, x, window, window, [0, 0], [1, 1], False)]


def _equal_windows(draft: Draft, x: fx.Node, axis: int, parts: int) -> fx.Node:
    """Return ``x`` with the windows of an axis side by side; shorter ones repeat their last entry.

    A maximum does not count its entries.
    """
    size = shape_of(x)[axis]
    if size % parts == 0:
        return x
    part = torch.arange(parts)
    start, stop = part * size // parts, -(-(part + 1) * size // parts)
    places = start[:, None] + torch.arange(int((stop - start).max()))
    name = draft.fresh_name(draft.path, "windows")
    index = draft.constant(name, torch.minimum(places, stop[:, None] - 1).flatten())
    return draft.call(aten.index_select.default, x, axis, index)


@rewrites(aten.adaptive_avg_pool1d.default)
def adaptive_avg_pool1d(draft: Draft, node: fx.Node) -> Result:
    """Windows on the last axis; unequal ones are those of an image one row high."""
    x = args_of(node)[0]
    length, parts = shape_of(x)[-1], shape_of(node)[-1]
    if length % parts:
        image = draft.reshape(x, (*shape_of(x)[:-1], 1, length))
        pooled = draft.call(aten.adaptive_avg_pool2d.default, image, [1, parts])
        return draft.reshape(pooled, shape_of(node))
    window = length // parts
    shape = (*shape_of(x)[:-1], shape_of(node)[-1], window)
    return draft.call(aten.mean.dim, draft.reshape(x, shape), [len(shape) - 1], False)


@rewrites(aten.avg_pool2d.default)
def avg_pool(draft: Draft, node: fx.Node) -> Result:
    """All arguments are given, with two ints each."""
    a = bound(node)
    kernel = pair(a["kernel_size"])
    stride = pair(a["stride"]) if a["stride"] else kernel
    padding = pair(a["padding"])
    tail = (a["ceil_mode"], a["count_include_pad"], a["divisor_override"])
    return draft.call(aten.avg_pool2d.default, a["self"], kernel, stride, padding, *tail)


@rewrites(aten.max_pool2d.default)
def max_pool(draft: Draft, node: fx.Node) -> Result:
    """All arguments are given, with two ints each."""
    return _max_pool(draft, node)


@rewrites(aten.max_pool2d_with_indices.default)
def max_pool_with_indices(draft: Draft, node: fx.Node) -> Result:
    """The form with one output."""
    return [_max_pool(draft, node)]


def _max_pool(draft: Draft, node: fx.Node) -> fx.Node:
    a = bound(node)
    kernel = pair(a["kernel_size"])
    stride = pair(a["stride"]) if a["stride"] else kernel
    spatial = (kernel, stride, pair(a["padding"]), pair(a["dilation"]))
    return draft.call(aten.max_pool2d.default, a["self"], *spatial, a["ceil_mode"])


@rewrites(aten.mean.default, aten.sum.default)
def over_all(_draft: Draft, node: fx.Node) -> Result:
    """A mean or sum over everything mixes images."""
    raise unsupported(node, "mixes images")


@rewrites(aten.mean.dim, aten.sum.dim_IntList, aten.amax.default, aten.amin.default)
def reduce(draft: Draft, node: fx.Node) -> Result:
    """The axes are counted from the front."""
    a = bound(node)
    rank = len(shape_of(a["self"]))
    axes = sorted(dim % rank for dim in (a["dim"] or range(rank)))
    if any(has_batch(shape_of(a["self"])[axis]) for axis in axes):
        raise unsupported(node, "mixes images")
    return draft.call(node.target, a["self"], axes, a["keepdim"])


@rewrites(aten.max.dim, aten.min.dim)
def max_dim(draft: Draft, node: fx.Node) -> Result:
    """The largest or smallest value on one axis, without its place."""
    a = bound(node)
    if any(args_of(user)[1] == 1 and user.users for user in node.users):
        reason = "is asked for the place of the value"
        raise unsupported(node, reason)
    operator = aten.amax.default if node.target == aten.max.dim else aten.amin.default
    axis = a["dim"] % len(shape_of(a["self"]))
    return [draft.call(operator, a["self"], [axis], a["keepdim"])]
