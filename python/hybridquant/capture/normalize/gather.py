"""Picking entries by constant places."""

from __future__ import annotations

import math

import torch
from torch import Tensor, fx

from hybridquant.capture.draft import Draft, aten, shape_of
from hybridquant.capture.errors import unsupported
from hybridquant.capture.graph import args_of
from hybridquant.capture.normalize.table import Result, bound, pair, rewrites


@rewrites(aten.index_select.default)
def index_select(draft: Draft, node: fx.Node) -> Result:
    """The axis is counted from the front; the places are constant."""
    x, dim, places = args_of(node)
    if places.op != "get_attr":
        raise unsupported(node, "is indexed by data")
    return draft.call(aten.index_select.default, x, dim % len(shape_of(x)), places)


@rewrites(aten.index.Tensor)
def index(draft: Draft, node: fx.Node) -> Result:
    """Constant places on one axis, or on several neighbouring ones."""
    x, indices = args_of(node)
    axes = [axis for axis, places in enumerate(indices) if places is not None]
    is_constant = all(indices[axis].op == "get_attr" for axis in axes)
    if not is_constant or axes != list(range(axes[0], axes[-1] + 1)):
        reason = "is indexed by data, or on axes that are not neighbours"
        raise unsupported(node, reason)
    given = [draft.constants[str(indices[axis].target)] for axis in axes]
    sizes = [shape_of(x)[axis] for axis in axes]
    return draft.reshape(_pick(draft, x, axes, _flat_places(given, sizes)), shape_of(node))


def _flat_places(given: list[Tensor], sizes: list[int]) -> Tensor:
    """Return places on the axis that neighbouring axes of ``sizes`` make when joined."""
    flat = torch.zeros(1, dtype=torch.long, device=given[0].device)
    for places, size in zip(torch.broadcast_tensors(*given), sizes, strict=True):
        flat = flat * size + places.long() % size
    return flat.flatten()


def _pick(draft: Draft, x: fx.Node, axes: list[int], places: Tensor) -> fx.Node:
    """Return ``x`` with ``axes`` joined into one and ``places`` picked from it."""
    shape = shape_of(x)
    joined = math.prod(shape[axis] for axis in axes)
    x = draft.reshape(x, (*shape[: axes[0]], joined, *shape[axes[-1] + 1 :]))
    name = draft.fresh_name(draft.path, "index")
    return draft.call(aten.index_select.default, x, axes[0], draft.constant(name, places))


@rewrites(aten.flip.default)
def flip(draft: Draft, node: fx.Node) -> Result:
    """The places counted down."""
    x = args_of(node)[0]
    for axis in (dim % len(shape_of(x)) for dim in args_of(node)[1]):
        x = _pick(draft, x, [axis], torch.arange(shape_of(x)[axis] - 1, -1, -1))
    return x


@rewrites(aten.unfold.default)
def unfold(draft: Draft, node: fx.Node) -> Result:
    """Windows along one axis: their places one window after the other, window entries last."""
    x, dim, size, step = args_of(node)
    dim %= len(shape_of(x))
    starts = torch.arange(0, shape_of(x)[dim] - size + 1, step)
    picked = _pick(draft, x, [dim], (starts[:, None] + torch.arange(size)).flatten())
    windows = (*shape_of(x)[:dim], len(starts), size, *shape_of(x)[dim + 1 :])
    order = [axis for axis in range(len(windows)) if axis != dim + 1]
    return draft.permute(draft.reshape(picked, windows), [*order, dim + 1])


@rewrites(aten.im2col.default)
def im2col(draft: Draft, node: fx.Node) -> Result:
    """Windows of an image as columns: [batch, channels * window, windows]."""
    a = bound(node)
    keys = ("kernel_size", "dilation", "padding", "stride")
    kernel, dilation, padding, stride = (pair(a[key]) for key in keys)
    x = a["self"]
    if any(padding):
        sides = [padding[1], padding[1], padding[0], padding[0]]
        x = draft.call(aten.constant_pad_nd.default, x, sides, 0.0)
    per_axis = []
    for axis in range(2):
        reach = dilation[axis] * (kernel[axis] - 1)
        starts = torch.arange(0, shape_of(x)[2 + axis] - reach, stride[axis])
        per_axis.append(torch.arange(kernel[axis])[:, None] * dilation[axis] + starts)
    # rows, columns # [kernel, windows] -> places # [kernel h, kernel w, windows h, windows w]
    rows, columns = per_axis[0][:, None, :, None], per_axis[1][None, :, None, :]
    places = _flat_places([rows, columns], list(shape_of(x)[2:]))
    return draft.reshape(_pick(draft, x, [2, 3], places), shape_of(node))


@rewrites(aten.col2im.default)
def col2im(draft: Draft, node: fx.Node) -> Result:
    """Overlapping windows added up: a transposed convolution that puts values in their places."""
    a = bound(node)
    keys = ("output_size", "kernel_size", "dilation", "padding", "stride")
    size, kernel, dilation, padding, stride = (pair(a[key]) for key in keys)
    window = math.prod(kernel)
    channels = shape_of(node)[1]
    reach = [dilation[i] * (kernel[i] - 1) + 1 - 2 * padding[i] for i in range(2)]
    windows = [(size[i] - reach[i]) // stride[i] + 1 for i in range(2)]
    rest = [size[i] - reach[i] - (windows[i] - 1) * stride[i] for i in range(2)]
    x = draft.reshape(a["self"], (shape_of(a["self"])[0], channels * window, *windows))
    ones = torch.eye(window).view(1, window, 1, *kernel).expand(channels, -1, -1, -1, -1)
    name = draft.fresh_name(draft.path, "ones")
    weight = draft.constant(name, ones.reshape(channels * window, 1, *kernel).contiguous())
    spatial = (stride, padding, rest, channels, dilation)
    return draft.call(aten.conv_transpose2d.input, x, weight, None, *spatial)
