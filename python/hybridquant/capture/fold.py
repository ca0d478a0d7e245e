"""Fold per-channel scales and shifts (BatchNorm, LayerScale, biases) into weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from hybridquant.capture.draft import Draft, aten, is_tensor, shape_of

# Operators with a trained weight: axis of their output channels, and that axis in the weight.
_OUTPUT_AXIS = {
    aten.conv1d.default: (1, 0),
    aten.conv2d.default: (1, 0),
    aten.conv3d.default: (1, 0),
    aten.conv_transpose2d.input: (1, 1),
    aten.linear.default: (-1, 0),
}


@dataclass(frozen=True)
class _Affine:
    """What a node does to its input: ``x * scale + shift`` for each channel.

    Args:
        x: The input.
        axis: The channels' axis in ``x``; None where scale and shift have one entry.
        scale: float64. # [channels] or [1]
        shift: float64. # [channels] or [1]
    """

    x: fx.Node
    axis: int | None
    scale: Tensor
    shift: Tensor


def fold_channels(draft: Draft) -> None:
    """Fold every per-channel scale or shift into the weighted operator before or after it.

    Legal where nothing else reads the values between the two; reshapes and permutes that keep the
    channels on an axis of their own may stand between. Computed in float64.

    Source: W' = W * gamma / sqrt(var + eps), b' = beta + (b - mean) * gamma / sqrt(var + eps).
    """
    for node in list(draft.graph.nodes):
        affine = _affine(draft, node) if node.op == "call_function" else None
        if affine is None:
            continue
        producer = _producer(affine)
        if producer is not None:
            _fold_back(draft, producer, affine)
            draft.replace(node, affine.x)
        elif node.target is aten.batch_norm.default and _fold_forward(draft, node, affine):
            draft.replace(node, affine.x)
    draft.sweep()


def _affine(draft: Draft, node: fx.Node) -> _Affine | None:
    """Return the scale and shift ``node`` stands for, or None if it is something else."""
    if node.target is aten.batch_norm.default:
        return _batch_norm(draft, node)
    if node.target not in (aten.mul.Tensor, aten.add.Tensor, aten.sub.Tensor):
        return None
    x, other = node.args
    if is_tensor(x) and x.op == "get_attr" and node.target is not aten.sub.Tensor:
        x, other = other, x
    if not is_tensor(x) or x.op == "get_attr":
        return None
    channels = _per_channel(draft, x, other)
    if channels is None or shape_of(x) != shape_of(node):
        return None
    axis, values = channels
    if node.target is aten.mul.Tensor:
        return _Affine(x, axis, values, torch.zeros_like(values))
    sign = -1 if node.target is aten.sub.Tensor else 1
    return _Affine(x, axis, torch.ones_like(values), sign * values)


def _batch_norm(draft: Draft, node: fx.Node) -> _Affine | None:
    x, weight, bias, mean, variance = node.args[:5]
    if any(n is not None and n.op != "get_attr" for n in (weight, bias, mean, variance)):
        return None
    centre = _read(draft, mean)
    scale = (_read(draft, variance) + node.args[7]).rsqrt()
    if weight is not None:
        scale = scale * _read(draft, weight)
    shift = -centre * scale
    return _Affine(x, 1, scale, shift if bias is None else shift + _read(draft, bias))


def _read(draft: Draft, node: fx.Node) -> Tensor:
    return draft.constants[str(node.target)].detach().double()


def _per_channel(draft: Draft, x: fx.Node, other: Any) -> tuple[int | None, Tensor] | None:
    """Return the axis of ``x`` along which the constant ``other`` varies, and its values."""
    if isinstance(other, (int, float)):
        return None, torch.tensor([other], dtype=torch.float64)
    if not is_tensor(other) or other.op != "get_attr":
        return None
    values = _read(draft, other)
    wide = [axis for axis, size in enumerate(values.shape) if size != 1]
    if len(wide) > 1 or values.dim() > len(shape_of(x)):
        return None
    axis = len(shape_of(x)) - values.dim() + wide[0] if wide else None
    return axis, values.flatten()


def _producer(affine: _Affine) -> fx.Node | None:
    """Return the weighted operator whose output channels are the affine's, if it may be folded."""
    node, axis = affine.x, affine.axis
    while len(node.users) == 1:
        if node.target in _OUTPUT_AXIS:
            output_axis = _OUTPUT_AXIS[node.target][0] % len(shape_of(node))
            is_legal = node.args[1].op == "get_attr" and axis in (None, output_axis)
            is_plain = node.target is not aten.conv_transpose2d.input or node.args[6] == 1
            return node if is_legal and is_plain else None
        if node.target not in (aten.reshape.default, aten.permute.default):
            return None
        if axis is not None:
            axis = _axis_before(node, axis)
            if axis is None:
                return None
        node = node.args[0]
    return None


def _axis_before(node: fx.Node, axis: int) -> int | None:
    """Return where ``axis`` of a reshape's or permute's result is in its input, if it is whole."""
    if node.target is aten.permute.default:
        return int(node.args[1][axis])
    before, after = shape_of(node.args[0]), shape_of(node)
    inner = math.prod(after[axis + 1 :])
    for place, size in enumerate(before):
        if size == after[axis] and math.prod(before[place + 1 :]) == inner:
            return place
    return None


def _fold_back(draft: Draft, producer: fx.Node, affine: _Affine) -> None:
    """Multiply the producer's output channels by the scale and add the shift to its bias."""
    weight, bias = producer.args[1:3]
    weight_axis = _OUTPUT_AXIS[producer.target][1]
    matrix = _read(draft, weight)
    channels = matrix.shape[weight_axis]
    scale, shift = affine.scale.expand(channels), affine.shift.expand(channels)
    view = [-1 if axis == weight_axis else 1 for axis in range(matrix.dim())]
    new_bias = shift if bias is None else _read(draft, bias) * scale + shift
    _write(draft, producer, matrix * scale.view(view), new_bias)


def _fold_forward(draft: Draft, node: fx.Node, affine: _Affine) -> bool:
    """Fold a BatchNorm into the operator that alone reads it; say whether that was legal."""
    reader = next(iter(node.users)) if len(node.users) == 1 else None
    if reader is None or reader.target is not aten.conv2d.default or reader.args[0] is not node:
        return False
    weight, bias, _, padding, _, groups = reader.args[1:]
    if weight.op != "get_attr" or groups != 1 or any(padding):
        return False
    kernel = _read(draft, weight)
    scaled = kernel * affine.scale.view(1, -1, 1, 1)
    constant = (kernel * affine.shift.view(1, -1, 1, 1)).sum((1, 2, 3))
    _write(draft, reader, scaled, constant if bias is None else _read(draft, bias) + constant)
    return True


def _write(draft: Draft, node: fx.Node, weight: Tensor, bias: Tensor) -> None:
    """Give ``node`` a new weight and bias, under the weight's own name where nothing shares it."""
    old_weight, old_bias = node.args[1:3]
    with draft.at(node):
        node.update_arg(1, _renew(draft, old_weight, weight))
        if old_bias is not None:
            node.update_arg(2, _renew(draft, old_bias, bias))
        elif bias.any():
            stem = str(old_weight.target).removesuffix("weight").rstrip(".")
            name = f"{stem}.bias" if stem else "bias"
            if name in draft.constants or not str(old_weight.target).endswith(".weight"):
                name = draft.fresh_name(node.meta["path"], "bias")
            value = bias.to(old_weight.meta["val"].dtype)
            node.update_arg(2, draft.constant(name, _like(draft, old_weight, value)))


def _renew(draft: Draft, old: fx.Node, value: Tensor) -> fx.Node:
    name = str(old.target)
    readers = [n for n in draft.graph.nodes if n.op == "get_attr" and n.target == name]
    if len(readers) > 1 or len(old.users) > 1:
        name = draft.fresh_name(draft.path, "weight")
    return draft.constant(name, _like(draft, old, value.to(old.meta["val"].dtype)))


def _like(draft: Draft, old: fx.Node, value: Tensor) -> Tensor:
    """Return ``value`` as a parameter if what it replaces is one."""
    before = draft.constants[str(old.target)]
    if isinstance(before, nn.Parameter):
        return nn.Parameter(value, requires_grad=before.requires_grad)
    return value
