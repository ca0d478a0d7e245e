"""Every way to take a part becomes a slice, and a reshape where an axis goes."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, fx

from hybridquant.capture.draft import Draft, aten, has_batch, shape_of
from hybridquant.capture.errors import unsupported
from hybridquant.capture.graph import args_of
from hybridquant.capture.normalize.table import Result, bound, rewrites


@rewrites(aten.slice.Tensor)
def slice_(draft: Draft, node: fx.Node) -> Result:
    """Start and end are counted from the front and lie inside the axis."""
    arguments = bound(node)
    x, dim, step = arguments["self"], arguments["dim"], arguments["step"]
    dim %= len(shape_of(x))
    size = shape_of(x)[dim]
    if has_batch(size):
        return _all_images(node, arguments)
    start, end, _ = slice(arguments["start"], arguments["end"]).indices(size)
    return draft.slice(x, dim, start, end, step)


def _all_images(node: fx.Node, arguments: dict[str, Any]) -> Result:
    """Return the input of a slice that takes the whole batch."""
    if shape_of(node) != shape_of(arguments["self"]) or arguments["step"] != 1:
        raise unsupported(node, "takes some of the images")
    return arguments["self"]


@rewrites(aten.narrow.default)
def narrow(draft: Draft, node: fx.Node) -> Result:
    """A slice given by its length."""
    x, dim, start, length = args_of(node)
    dim %= len(shape_of(x))
    start %= shape_of(x)[dim]
    return draft.slice(x, dim, start, start + length)


@rewrites(aten.select.int)
def select(draft: Draft, node: fx.Node) -> Result:
    """One entry of an axis, which goes."""
    x, dim, index = args_of(node)
    return _entry(draft, x, dim, index, node)


def _entry(draft: Draft, x: fx.Node, dim: int, index: int, node: fx.Node) -> fx.Node:
    dim %= len(shape_of(x))
    size = shape_of(x)[dim]
    if has_batch(size):
        raise unsupported(node, "takes one image")
    part = draft.slice(x, dim, index % size, index % size + 1)
    return draft.reshape(part, shape_of(x)[:dim] + shape_of(x)[dim + 1 :])


@rewrites(aten.unbind.int)
def unbind(draft: Draft, node: fx.Node) -> Result:
    """Every entry of an axis."""
    arguments = bound(node)
    x, dim = arguments["self"], arguments["dim"]
    return [_entry(draft, x, dim, index, node) for index in range(len(node.meta["val"]))]


@rewrites(
    aten.split.Tensor,
    aten.split_with_sizes.default,
    aten.chunk.default,
    aten.tensor_split.sections,
    aten.tensor_split.indices,
)
def split(draft: Draft, node: fx.Node) -> Result:
    """Neighbouring slices, as long as the results are."""
    arguments = bound(node)
    x = arguments["self"]
    dim = arguments["dim"] % len(shape_of(x))
    sizes = [value.shape[dim] for value in node.meta["val"]]
    if any(has_batch(size) for size in sizes):
        raise unsupported(node, "splits the batch")
    ends = list(accumulate(sizes))
    return [draft.slice(x, dim, end - size, end) for size, end in zip(sizes, ends, strict=True)]


@rewrites(aten.slice_scatter.default)
def slice_scatter(draft: Draft, node: fx.Node) -> Result:
    """What is before the slice, the new part, and what is after, side by side."""
    arguments = bound(node)
    x, part = arguments["self"], arguments["src"]
    dim = arguments["dim"] % len(shape_of(x))
    size = shape_of(x)[dim]
    if shape_of(part) == shape_of(x) and arguments["step"] == 1:
        return part
    if has_batch(size):
        raise unsupported(node, "writes some of the images")
    start, end, step = slice(*(arguments[k] for k in ("start", "end", "step"))).indices(size)
    if step > 1:
        return _every_nth(draft, x, part, dim, torch.arange(start, end, step))
    return _side_by_side(draft, x, part, dim, start, end)


def _every_nth(draft: Draft, x: fx.Node, part: fx.Node, dim: int, written: Tensor) -> fx.Node:
    """Insert a choice among the entries of ``x`` and, in places ``written``, those of ``part``."""
    size = shape_of(x)[dim]
    places = torch.arange(size)
    places[written] = size + torch.arange(len(written))
    both = draft.call(aten.cat.default, [x, part], dim)
    name = draft.fresh_name(draft.path, "places")
    return draft.call(aten.index_select.default, both, dim, draft.constant(name, places))


@rewrites(aten.select_scatter.default)
def select_scatter(draft: Draft, node: fx.Node) -> Result:
    """As slice_scatter, with one entry."""
    arguments = bound(node)
    x, dim = arguments["self"], arguments["dim"] % len(shape_of(arguments["self"]))
    index = arguments["index"] % shape_of(x)[dim]
    shape = (*shape_of(x)[:dim], 1, *shape_of(x)[dim + 1 :])
    part = draft.reshape(arguments["src"], shape)
    return _side_by_side(draft, x, part, dim, index, index + 1)


def _side_by_side(
    draft: Draft, x: fx.Node, part: fx.Node, dim: int, start: int, end: int
) -> fx.Node:
    size = shape_of(x)[dim]
    pieces = [draft.slice(x, dim, 0, start)] if start > 0 else []
    pieces.append(part)
    if end < size:
        pieces.append(draft.slice(x, dim, end, size))
    return draft.call(aten.cat.default, pieces, dim) if len(pieces) > 1 else part


@rewrites(aten.roll.default)
def roll(draft: Draft, node: fx.Node) -> Result:
    """The tail of each axis comes before its head."""
    arguments = bound(node)
    x = arguments["self"]
    if not arguments["dims"]:
        return None
    axes = [dim % len(shape_of(x)) for dim in arguments["dims"]]
    for shift, dim in zip(arguments["shifts"], axes, strict=True):
        size = shape_of(x)[dim]
        if shift % size:
            cut = size - shift % size
            parts = [draft.slice(x, dim, cut, size), draft.slice(x, dim, 0, cut)]
            x = draft.call(aten.cat.default, parts, dim)
    return x


@rewrites(aten.stack.default)
def stack(draft: Draft, node: fx.Node) -> Result:
    """Each part gets the new axis, then they stand side by side."""
    arguments = bound(node)
    dim = arguments["dim"] % len(shape_of(node))
    shape = (*shape_of(node)[:dim], 1, *shape_of(node)[dim + 1 :])
    parts = [draft.reshape(part, shape) for part in arguments["tensors"]]
    return draft.call(aten.cat.default, parts, dim)


@rewrites(aten.cat.default)
def cat(draft: Draft, node: fx.Node) -> Result:
    """The axis is counted from the front; empty parts go."""
    arguments = bound(node)
    dim = arguments["dim"] % len(shape_of(node))
    parts = [part for part in arguments["tensors"] if 0 not in shape_of(part)]
    return parts[0] if len(parts) == 1 else draft.call(aten.cat.default, parts, dim)
