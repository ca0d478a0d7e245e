"""Convolutions, with all their arguments spelled out."""

from __future__ import annotations

from typing import Any

from torch import fx

from hybridquant.capture.draft import Draft, aten, shape_of
from hybridquant.capture.errors import unsupported
from hybridquant.capture.normalize.table import Result, bound, pair, rewrites


@rewrites(aten.conv1d.default, aten.conv2d.default, aten.conv3d.default)
def conv(draft: Draft, node: fx.Node) -> Result:
    """Stride, padding and dilation are lists with one int per spatial axis."""
    a = bound(node)
    rank = len(shape_of(a["weight"])) - 2
    spatial = [pair(a[key], rank) for key in ("stride", "padding", "dilation")]
    return draft.call(node.target, a["input"], a["weight"], a["bias"], *spatial, a["groups"])


@rewrites(aten.conv1d.padding, aten.conv2d.padding, aten.conv3d.padding)
def conv_same(draft: Draft, node: fx.Node) -> Result:
    """``same`` padding in numbers; what is uneven goes to a pad of its own."""
    a = bound(node)
    kernel = shape_of(a["weight"])[2:]
    stride, dilation = pair(a["stride"], len(kernel)), pair(a["dilation"], len(kernel))
    total = [0] * len(kernel)
    if a["padding"] == "same":
        total = [d * (size - 1) for d, size in zip(dilation, kernel, strict=True)]
    x = a["input"]
    if any(amount % 2 for amount in total):
        uneven = [side for amount in reversed(total) for side in (0, amount % 2)]
        x = draft.call(aten.constant_pad_nd.default, x, uneven, 0.0)
    half = [amount // 2 for amount in total]
    operator = _PLAIN[node.target]
    return draft.call(operator, x, a["weight"], a["bias"], stride, half, dilation, a["groups"])


_PLAIN: dict[Any, Any] = {
    aten.conv1d.padding: aten.conv1d.default,
    aten.conv2d.padding: aten.conv2d.default,
    aten.conv3d.padding: aten.conv3d.default,
}


@rewrites(aten.conv_transpose2d.input)
def conv_transpose(draft: Draft, node: fx.Node) -> Result:
    """As conv, with output padding."""
    a = bound(node)
    spatial = [pair(a[key]) for key in ("stride", "padding", "output_padding")]
    tail = [*spatial, a["groups"], pair(a["dilation"])]
    return draft.call(node.target, a["input"], a["weight"], a["bias"], *tail)


@rewrites(aten.conv_transpose1d.default)
def conv_transpose1d(draft: Draft, node: fx.Node) -> Result:
    """That of an image one row high."""
    a = bound(node)
    spatial = [
        [first, *pair(a[key], 1)]
        for key, first in (("stride", 1), ("padding", 0), ("output_padding", 0), ("dilation", 1))
    ]
    x, weight = (
        draft.reshape(a[key], (*shape_of(a[key])[:2], 1, shape_of(a[key])[2]))
        for key in ("input", "weight")
    )
    tail = [*spatial[:3], a["groups"], spatial[3]]
    image = draft.call(aten.conv_transpose2d.input, x, weight, a["bias"], *tail)
    return draft.reshape(image, shape_of(node))


@rewrites(aten.pad.default)
def pad(draft: Draft, node: fx.Node) -> Result:
    """A pad of nothing goes; the other modes have operators of their own."""
    a = bound(node)
    if not any(a["pad"]):
        return a["self"]
    if a["mode"] == "constant":
        return _padded(draft, a["self"], list(a["pad"]), a["value"] or 0.0)
    if a["mode"] == "circular":
        return _wrapped(draft, a["self"], list(a["pad"]))
    mode = (a["mode"], len(a["pad"]))
    if mode not in _PADS:
        raise unsupported(node, f"has mode {mode[0]!r} on {mode[1] // 2} axes")
    return draft.call(_PADS[mode], a["self"], a["pad"])


_PADS: dict[tuple[str, int], Any] = {
    ("reflect", 2): aten.reflection_pad1d.default,
    ("reflect", 4): aten.reflection_pad2d.default,
    ("replicate", 2): aten.replication_pad1d.default,
    ("replicate", 4): aten.replication_pad2d.default,
}


@rewrites(aten.constant_pad_nd.default)
def constant_pad(draft: Draft, node: fx.Node) -> Result:
    """A pad of nothing goes; a negative pad is a slice."""
    a = bound(node)
    return _padded(draft, a["self"], list(a["pad"]), a["value"])


def _wrapped(draft: Draft, x: fx.Node, amounts: list[int]) -> fx.Node:
    """Return ``x`` with each axis continued by its other end."""
    rank = len(shape_of(x))
    for index in range(0, len(amounts), 2):
        dim, (low, high) = rank - 1 - index // 2, amounts[index : index + 2]
        size = shape_of(x)[dim]
        kept = draft.slice(x, dim, max(0, -low), size - max(0, -high))
        parts = [draft.slice(x, dim, size - low, size)] * (low > 0) + [kept]
        parts += [draft.slice(x, dim, 0, high)] * (high > 0)
        x = draft.call(aten.cat.default, parts, dim) if len(parts) > 1 else kept
    return x


def _padded(draft: Draft, x: fx.Node, amounts: list[int], value: float) -> fx.Node:
    rank = len(shape_of(x))
    for index in range(0, len(amounts), 2):
        dim, (low, high) = rank - 1 - index // 2, amounts[index : index + 2]
        x = draft.slice(x, dim, max(0, -low), shape_of(x)[dim] - max(0, -high))
    kept = [max(0, amount) for amount in amounts]
    return draft.call(aten.constant_pad_nd.default, x, kept, value) if any(kept) else x
