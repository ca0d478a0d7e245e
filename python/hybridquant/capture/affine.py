"""Per-channel scales and shifts: what a node does to each channel, and where channels go."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from hybridquant.capture.draft import Draft, aten, is_tensor, shape_of
from hybridquant.capture.graph import args_of


@dataclass(frozen=True)
class Affine:
    """``x * scale + shift`` for each channel.

    Args:
        x: The input.
        axis: The channels' axis in ``x``; None where scale and shift have one entry.
        scale: float64. # [channels] or [1]
        shift: float64, or None where nothing is added. # [channels] or [1]
    """

    x: fx.Node
    axis: int | None
    scale: Tensor
    shift: Tensor | None


def read(draft: Draft, node: fx.Node) -> Tensor:
    """Return the value of a ``get_attr`` node in float64."""
    return draft.constants[str(node.target)].detach().double()


def as_affine(draft: Draft, node: fx.Node) -> Affine | None:
    """Return the scale and shift that ``node`` stands for, or None if it is something else."""
    if node.target is aten.batch_norm.default:
        return _batch_norm(draft, node)
    if node.target not in (aten.mul.Tensor, aten.add.Tensor, aten.sub.Tensor):
        return None
    x, other = args_of(node)
    if is_tensor(x) and x.op == "get_attr" and node.target is not aten.sub.Tensor:
        x, other = other, x
    if not is_tensor(x) or x.op == "get_attr":
        return None
    channels = _per_channel(draft, x, other)
    if channels is None or shape_of(x) != shape_of(node):
        return None
    axis, values = channels
    if node.target is aten.mul.Tensor:
        return Affine(x, axis, values, None)
    sign = -1 if node.target is aten.sub.Tensor else 1
    return Affine(x, axis, torch.ones_like(values), sign * values)


def _batch_norm(draft: Draft, node: fx.Node) -> Affine | None:
    x, weight, bias, mean, variance = args_of(node)[:5]
    if any(n is not None and n.op != "get_attr" for n in (weight, bias, mean, variance)):
        return None
    scale = (read(draft, variance) + args_of(node)[7]).rsqrt()
    if weight is not None:
        scale = scale * read(draft, weight)
    shift = -read(draft, mean) * scale
    return Affine(x, 1, scale, shift if bias is None else shift + read(draft, bias))


def _per_channel(draft: Draft, x: fx.Node, other: Any) -> tuple[int | None, Tensor] | None:
    """Return the axis of ``x`` along which the constant ``other`` varies, and its values."""
    if isinstance(other, (int, float)):
        return None, torch.tensor([other], dtype=torch.float64)
    if not is_tensor(other) or other.op != "get_attr":
        return None
    values = read(draft, other)
    wide = [axis for axis, size in enumerate(values.shape) if size != 1]
    if len(wide) > 1 or values.dim() > len(shape_of(x)):
        return None
    axis = len(shape_of(x)) - values.dim() + wide[0] if wide else None
    return axis, values.flatten()


def axis_before(node: fx.Node, axis: int) -> int | None:
    """Return where ``axis`` of a reshape's or permute's result is in its input, if it is whole."""
    if node.target is aten.permute.default:
        return int(args_of(node)[1][axis])
    return _same_axis(shape_of(node), axis, shape_of(args_of(node)[0]))


def axis_after(node: fx.Node, axis: int) -> int | None:
    """Return where ``axis`` of the node's input is in its result, if it stays whole.

    Knows reshape, permute, and averages over other axes; None for any other operator.
    """
    before = shape_of(args_of(node)[0]) if is_tensor(args_of(node)[0]) else ()
    if node.target is aten.permute.default:
        return list(args_of(node)[1]).index(axis)
    if node.target is aten.reshape.default:
        return _same_axis(before, axis, shape_of(node))
    if node.target is aten.mean.dim and axis not in args_of(node)[1]:
        return axis if args_of(node)[2] else axis - sum(gone < axis for gone in args_of(node)[1])
    if node.target is aten.avg_pool2d.default and axis == 1 and not any(args_of(node)[3]):
        return axis if args_of(node)[5] and args_of(node)[6] is None else None
    return None


def _same_axis(source: tuple[int, ...], axis: int, target: tuple[int, ...]) -> int | None:
    """Return the axis of ``target`` with the size of ``axis`` and as many entries inside it."""
    inner = math.prod(source[axis + 1 :])
    for place, size in enumerate(target):
        if size == source[axis] and math.prod(target[place + 1 :]) == inner:
            return place
    return None
