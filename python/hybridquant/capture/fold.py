"""Fold per-channel scales and shifts (BatchNorm, LayerScale, biases) into weights."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx, nn

from hybridquant.capture.affine import Affine, as_affine, axis_after, axis_before, read
from hybridquant.capture.draft import Draft, aten, shape_of
from hybridquant.capture.graph import args_of

# Operators with a trained weight: axis of their output channels, and that axis in the weight.
_OUTPUT_AXIS = {
    aten.conv1d.default: (1, 0),
    aten.conv2d.default: (1, 0),
    aten.conv3d.default: (1, 0),
    aten.conv_transpose2d.input: (1, 1),
    aten.linear.default: (-1, 0),
}
_VIEWS = (aten.reshape.default, aten.permute.default)


def fold_channels(draft: Draft) -> None:
    """Fold every per-channel scale or shift into weights before it, every BatchNorm also after it.

    Legal where nothing else reads the values between the two; reshapes and permutes that keep the
    channels on an axis of their own may stand between (after a BatchNorm, averages too). Computed
    in float64.

    Source: W' = W * gamma / sqrt(var + eps), b' = beta + (b - mean) * gamma / sqrt(var + eps).
    """
    for node in list(draft.graph.nodes):
        affine = as_affine(draft, node) if node.op == "call_function" else None
        if affine is None:
            continue
        producer = _producer(affine)
        if producer is not None:
            _fold_back(draft, producer, affine)
            draft.replace(node, affine.x)
        elif node.target is aten.batch_norm.default:
            readers = _readers(node)
            if readers:
                _fold_forward(draft, readers, affine)
                draft.replace(node, affine.x)
    draft.sweep()


def _producer(affine: Affine) -> fx.Node | None:
    """Return the weighted operator whose output channels are the affine's, if it may be folded."""
    node, axis = affine.x, affine.axis
    while len(node.users) == 1:
        if node.target in _OUTPUT_AXIS:
            output_axis = _OUTPUT_AXIS[node.target][0] % len(shape_of(node))
            is_legal = args_of(node)[1].op == "get_attr" and axis in (None, output_axis)
            is_plain = node.target is not aten.conv_transpose2d.input or args_of(node)[6] == 1
            return node if is_legal and is_plain else None
        if node.target not in _VIEWS:
            return None
        if axis is not None:
            axis = axis_before(node, axis)
            if axis is None:
                return None
        node = args_of(node)[0]
    return None


def _fold_back(draft: Draft, producer: fx.Node, affine: Affine) -> None:
    """Multiply the producer's output channels by the scale and add the shift to its bias."""
    weight, bias = args_of(producer)[1:3]
    operator: Any = producer.target
    weight_axis = _OUTPUT_AXIS[operator][1]
    matrix = read(draft, weight)
    view = [-1 if axis == weight_axis else 1 for axis in range(matrix.dim())]
    channels = matrix.shape[weight_axis]
    scale = affine.scale.expand(channels)
    new_bias = None if bias is None else read(draft, bias) * scale
    if affine.shift is not None:
        new_bias = affine.shift.expand(channels) + (0 if new_bias is None else new_bias)
    _write(draft, producer, matrix * scale.view(view), new_bias)


def _readers(node: fx.Node) -> list[fx.Node] | None:
    """Return the operators that read a BatchNorm, or None if one of them cannot take it up."""
    readers = []
    stack = [(node, 1)]
    while stack:
        current, axis = stack.pop()
        for user in current.users:
            if user.op != "call_function" or args_of(user)[0] is not current:
                return None
            if user.target in (aten.conv2d.default, aten.linear.default):
                if not _takes_input_scale(user, axis):
                    return None
                readers.append(user)
                continue
            after = axis_after(user, axis)
            if after is None:
                return None
            stack.append((user, after))
    return readers


def _takes_input_scale(node: fx.Node, axis: int) -> bool:
    """Say whether the input channels of ``node`` are ``axis`` and meet no padding."""
    if args_of(node)[1].op != "get_attr":
        return False
    if node.target is aten.linear.default:
        return axis == len(shape_of(args_of(node)[0])) - 1
    return axis == 1 and args_of(node)[6] == 1 and not any(args_of(node)[4])


def _fold_forward(draft: Draft, readers: list[fx.Node], affine: Affine) -> None:
    """Multiply the readers' input channels by the scale; what the shift adds goes to the bias."""
    for reader in readers:
        weight, bias = args_of(reader)[1:3]
        matrix = read(draft, weight)
        view = [-1 if axis == 1 else 1 for axis in range(matrix.dim())]
        new_bias = None if bias is None else read(draft, bias)
        if affine.shift is not None:
            added = (matrix * affine.shift.view(view)).flatten(1).sum(1)
            new_bias = added if new_bias is None else new_bias + added
        _write(draft, reader, matrix * affine.scale.view(view), new_bias)


def _write(draft: Draft, node: fx.Node, weight: Tensor, bias: Tensor | None) -> None:
    """Give ``node`` a new weight and bias, under their own names where nothing shares them."""
    old_weight, old_bias = args_of(node)[1:3]
    with draft.at(node):
        if bias is not None and old_bias is not None:
            node.update_arg(2, _renew(draft, old_bias, bias))
        elif bias is not None:
            name = _bias_name(draft, node)
            node.update_arg(2, draft.constant(name, _like(draft, old_weight, bias)))
        node.update_arg(1, _renew(draft, old_weight, weight))
    for old in (old_weight, old_bias):
        if old is not None and not old.users:
            draft.graph.erase_node(old)


def _bias_name(draft: Draft, node: fx.Node) -> str:
    """Return the name that goes with the weight's, e.g. ``stem.conv.bias``, if it is free."""
    *parents, leaf = str(args_of(node)[1].target).split(".")
    name = ".".join([*parents, "bias"])
    is_free = leaf == "weight" and name not in draft.constants
    return name if is_free else draft.fresh_name(node.meta["path"], "bias")


def _renew(draft: Draft, old: fx.Node, value: Tensor) -> fx.Node:
    name = str(old.target)
    readers = [n for n in draft.graph.nodes if n.op == "get_attr" and n.target == name]
    if len(readers) > 1 or len(old.users) > 1:
        name = draft.fresh_name(draft.path, "weight")
    return draft.constant(name, _like(draft, old, value))


def _like(draft: Draft, old: fx.Node, value: Tensor) -> Tensor:
    """Return ``value`` in the old one's dtype, as a parameter if the old one is."""
    before = draft.constants[str(old.target)]
    value = value.to(before.dtype)
    if isinstance(before, nn.Parameter):
        return nn.Parameter(value, requires_grad=before.requires_grad)
    return value
