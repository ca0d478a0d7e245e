"""Element-wise arithmetic and activations."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import fx, nn

from hybridquant.capture.draft import Draft, aten, is_tensor, shape_of
from hybridquant.capture.errors import UnsupportedOperatorError
from hybridquant.capture.normalize.table import bound, rewrites


@rewrites(aten.add.Tensor, aten.add.Scalar, aten.sub.Tensor, aten.sub.Scalar)
def add(draft: Draft, node: fx.Node) -> fx.Node:
    """A factor on the second operand is a mul of its own; taking a number away adds it negated."""
    a = bound(node)
    x, y, alpha = a["self"], _number(draft, a["other"]), a["alpha"]
    is_sub = node.target in (aten.sub.Tensor, aten.sub.Scalar)
    if not is_tensor(y):
        return _add_number(draft, x, -y * alpha if is_sub else y * alpha)
    if alpha != 1:
        y = draft.call(aten.mul.Tensor, y, alpha)
    return draft.call(aten.sub.Tensor if is_sub else aten.add.Tensor, x, y)


def _number(draft: Draft, operand: Any) -> Any:
    """Return a constant without axes that is no parameter as a number, all else as it is."""
    if is_tensor(operand) and operand.op == "get_attr" and shape_of(operand) == ():
        value = draft.constants[str(operand.target)]
        return operand if isinstance(value, nn.Parameter) else value.item()
    return operand


def _add_number(draft: Draft, x: fx.Node, number: float) -> fx.Node:
    return x if number == 0 else draft.call(aten.add.Tensor, x, number)


@rewrites(aten.rsub.Scalar, aten.rsub.Tensor)
def rsub(draft: Draft, node: fx.Node) -> fx.Node:
    """``other - alpha * self``."""
    a = bound(node)
    x = a["self"] if a["alpha"] == 1 else draft.call(aten.mul.Tensor, a["self"], a["alpha"])
    if is_tensor(a["other"]):
        return draft.call(aten.sub.Tensor, a["other"], x)
    return _add_number(draft, draft.call(aten.neg.default, x), a["other"])


@rewrites(aten.mul.Tensor, aten.mul.Scalar)
def mul(draft: Draft, node: fx.Node) -> fx.Node:
    """A factor of one goes; a number is the second operand."""
    x, y = (_number(draft, operand) for operand in node.args)
    if not is_tensor(x):
        x, y = y, x
    return x if not is_tensor(y) and y == 1 else draft.call(aten.mul.Tensor, x, y)


@rewrites(aten.div.Tensor, aten.div.Scalar)
def div(draft: Draft, node: fx.Node) -> fx.Node:
    """A division by a number multiplies by its inverse."""
    x, y = node.args[0], _number(draft, node.args[1])
    if is_tensor(y):
        return draft.call(aten.div.Tensor, x, y)
    return x if y == 1 else draft.call(aten.mul.Tensor, x, 1.0 / y)


@rewrites(aten.reciprocal.default)
def reciprocal(draft: Draft, node: fx.Node) -> fx.Node:
    """``x ** -1``."""
    return draft.call(aten.pow.Tensor_Scalar, node.args[0], -1)


@rewrites(aten.square.default)
def square(draft: Draft, node: fx.Node) -> fx.Node:
    """A product with itself."""
    return draft.call(aten.mul.Tensor, node.args[0], node.args[0])


@rewrites(aten.pow.Tensor_Scalar)
def power(draft: Draft, node: fx.Node) -> fx.Node | None:
    """Small powers are products, halves are roots."""
    x, exponent = node.args
    if exponent == 1:
        return x
    if exponent == 2:
        return draft.call(aten.mul.Tensor, x, x)
    if exponent == 3:
        return draft.call(aten.mul.Tensor, draft.call(aten.mul.Tensor, x, x), x)
    if exponent in (0.5, -0.5):
        return draft.call(aten.sqrt.default if exponent > 0 else aten.rsqrt.default, x)
    return None


@rewrites(aten.addcmul.default)
def addcmul(draft: Draft, node: fx.Node) -> fx.Node:
    """``x + value * a * b``."""
    a = bound(node)
    product = draft.call(aten.mul.Tensor, a["tensor1"], a["tensor2"])
    if a["value"] != 1:
        product = draft.call(aten.mul.Tensor, product, a["value"])
    return draft.call(aten.add.Tensor, a["self"], product)


@rewrites(aten.lerp.Scalar, aten.lerp.Tensor)
def lerp(draft: Draft, node: fx.Node) -> fx.Node:
    """``x + weight * (y - x)``."""
    a = bound(node)
    difference = draft.call(aten.sub.Tensor, a["end"], a["self"])
    return draft.call(
        aten.add.Tensor, a["self"], draft.call(aten.mul.Tensor, difference, a["weight"])
    )


@rewrites(aten.maximum.default, aten.minimum.default)
def extremum(draft: Draft, node: fx.Node) -> fx.Node:
    """Two operands."""
    return draft.call(node.target, *node.args)


@rewrites(aten.max.other, aten.min.other)
def extremum_other(draft: Draft, node: fx.Node) -> fx.Node:
    """The older names of maximum and minimum."""
    is_max = node.target == aten.max.other
    return draft.call(aten.maximum.default if is_max else aten.minimum.default, *node.args)


@rewrites(
    aten.clamp.default, aten.hardtanh.default, aten.clamp_min.default, aten.clamp_max.default
)
def clamp(draft: Draft, node: fx.Node) -> fx.Node:
    """Bounds by number; a lower bound of zero alone is relu."""
    a = bound(node)
    low, high = a.get("min", a.get("min_val")), a.get("max", a.get("max_val"))
    if low == 0 and high is None:
        return draft.call(aten.relu.default, a["self"])
    return draft.call(aten.clamp.default, a["self"], low, high)


@rewrites(aten.relu6.default)
def relu6(draft: Draft, node: fx.Node) -> fx.Node:
    """A clamp."""
    return draft.call(aten.clamp.default, node.args[0], 0.0, 6.0)


@rewrites(aten.mish.default)
def mish(draft: Draft, node: fx.Node) -> fx.Node:
    """``x * tanh(softplus(x))``."""
    x = node.args[0]
    inner = draft.call(aten.tanh.default, draft.call(aten.softplus.default, x, 1, 20))
    return draft.call(aten.mul.Tensor, x, inner)


@rewrites(aten.glu.default)
def glu(draft: Draft, node: fx.Node) -> fx.Node:
    """The first half times the sigmoid of the second."""
    a = bound(node)
    x, dim = a["self"], a["dim"] % len(shape_of(a["self"]))
    half = shape_of(node)[dim]
    gate = draft.call(aten.sigmoid.default, draft.slice(x, dim, half, 2 * half))
    return draft.call(aten.mul.Tensor, draft.slice(x, dim, 0, half), gate)


@rewrites(aten.log_sigmoid.default)
def log_sigmoid(draft: Draft, node: fx.Node) -> fx.Node:
    """``log(sigmoid(x))`` = ``-softplus(-x)``."""
    inner = draft.call(aten.neg.default, node.args[0])
    return draft.call(aten.neg.default, draft.call(aten.softplus.default, inner, 1, 20))


@rewrites(aten.elu.default)
def elu(draft: Draft, node: fx.Node) -> fx.Node:
    """All arguments are given."""
    a = bound(node)
    return draft.call(aten.elu.default, a["self"], a["alpha"], a["scale"], a["input_scale"])


@rewrites(aten.celu.default)
def celu(draft: Draft, node: fx.Node) -> fx.Node:
    """An elu whose input is divided by alpha."""
    a = bound(node)
    return draft.call(aten.elu.default, a["self"], a["alpha"], 1, 1 / a["alpha"])


@rewrites(aten.softplus.default, aten.leaky_relu.default)
def with_numbers(draft: Draft, node: fx.Node) -> fx.Node:
    """All arguments are given."""
    return draft.call(node.target, *bound(node).values())


@rewrites(aten.softmax.int, aten._softmax.default)
def softmax(draft: Draft, node: fx.Node) -> fx.Node:
    """The axis is counted from the back."""
    return draft.call(aten.softmax.int, node.args[0], _from_back(node))


@rewrites(aten.log_softmax.int, aten._log_softmax.default)
def log_softmax(draft: Draft, node: fx.Node) -> fx.Node:
    """The logarithm of a softmax."""
    return draft.call(aten.log_softmax.int, node.args[0], _from_back(node))


def _from_back(node: fx.Node) -> int:
    rank = len(shape_of(node))
    return int(node.args[1]) % rank - rank


@rewrites(aten.masked_fill.Scalar, aten.masked_fill.Tensor)
def masked_fill(draft: Draft, node: fx.Node) -> fx.Node:
    """A constant mask: keep by a product with 0 and 1, and add the value where it was masked."""
    x, mask, value = node.args
    number = float(draft.constants[value.target]) if is_tensor(value) else float(value)
    if mask.op != "get_attr":
        raise UnsupportedOperatorError(str(node.target), node.meta["path"], "has a mask of data")
    keep = draft.constants[mask.target].logical_not()
    if math.isinf(number):
        added = torch.zeros(keep.shape, device=keep.device).masked_fill(~keep, number)
        return draft.call(aten.add.Tensor, x, _constant(draft, "mask", added))
    kept = draft.call(aten.mul.Tensor, x, _constant(draft, "keep", keep.float()))
    if number == 0:
        return kept
    return draft.call(aten.add.Tensor, kept, _constant(draft, "fill", (~keep).float() * number))


def _constant(draft: Draft, stem: str, value: torch.Tensor) -> fx.Node:
    return draft.constant(draft.fresh_name(draft.path, stem), value)


@rewrites(aten.index.Tensor)
def index(draft: Draft, node: fx.Node) -> fx.Node:
    """Constant indices on one axis: an index_select and a reshape."""
    x, indices = node.args
    given: list[tuple[int, Any]] = [(axis, i) for axis, i in enumerate(indices) if i is not None]
    if len(given) != 1 or given[0][1].op != "get_attr":
        reason = "is indexed by data, or on several axes at once"
        raise UnsupportedOperatorError(str(node.target), node.meta["path"], reason)
    axis, place = given[0]
    value = draft.constants[place.target]
    if value.dtype == torch.bool:
        value = value.nonzero()
    flat = value.flatten() % shape_of(x)[axis]
    picked = draft.call(aten.index_select.default, x, axis, _constant(draft, "index", flat))
    return draft.reshape(picked, shape_of(node))


@rewrites(aten.index_select.default)
def index_select(draft: Draft, node: fx.Node) -> fx.Node:
    """The axis is counted from the front; neighbours are a slice."""
    x, dim, place = node.args
    dim %= len(shape_of(x))
    if place.op != "get_attr":
        raise UnsupportedOperatorError(str(node.target), node.meta["path"], "is indexed by data")
    return draft.call(aten.index_select.default, x, dim, place)


@rewrites(aten.flip.default)
def flip(draft: Draft, node: fx.Node) -> fx.Node:
    """An index_select with the places counted down."""
    x = node.args[0]
    for dim in node.args[1]:
        size = shape_of(x)[dim]
        places = _constant(draft, "index", torch.arange(size - 1, -1, -1))
        x = draft.call(aten.index_select.default, x, dim % len(shape_of(x)), places)
    return x
