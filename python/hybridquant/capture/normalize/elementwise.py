"""Element-wise arithmetic and activations."""

from __future__ import annotations

import math
from typing import Any

from torch import fx, nn

from hybridquant.capture.draft import Draft, aten, is_tensor, shape_of
from hybridquant.capture.errors import unsupported
from hybridquant.capture.graph import args_of
from hybridquant.capture.normalize.table import Result, bound, rewrites


@rewrites(aten.add.Tensor, aten.add.Scalar, aten.sub.Tensor, aten.sub.Scalar)
def add(draft: Draft, node: fx.Node) -> Result:
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
def rsub(draft: Draft, node: fx.Node) -> Result:
    """``other - alpha * self``."""
    a = bound(node)
    x = a["self"] if a["alpha"] == 1 else draft.call(aten.mul.Tensor, a["self"], a["alpha"])
    if is_tensor(a["other"]):
        return draft.call(aten.sub.Tensor, a["other"], x)
    return _add_number(draft, draft.call(aten.neg.default, x), a["other"])


@rewrites(aten.mul.Tensor, aten.mul.Scalar)
def mul(draft: Draft, node: fx.Node) -> Result:
    """A factor of one goes; a number is the second operand."""
    x, y = (_number(draft, operand) for operand in args_of(node))
    if not is_tensor(x):
        x, y = y, x
    return x if not is_tensor(y) and y == 1 else draft.call(aten.mul.Tensor, x, y)


@rewrites(aten.div.Tensor, aten.div.Scalar)
def div(draft: Draft, node: fx.Node) -> Result:
    """A division by a number multiplies by its inverse."""
    x, y = args_of(node)[0], _number(draft, args_of(node)[1])
    if is_tensor(y):
        return draft.call(aten.div.Tensor, x, y)
    return x if y == 1 else draft.call(aten.mul.Tensor, x, 1.0 / y)


@rewrites(aten.reciprocal.default)
def reciprocal(draft: Draft, node: fx.Node) -> Result:
    """``x ** -1``."""
    return draft.call(aten.pow.Tensor_Scalar, args_of(node)[0], -1)


@rewrites(aten.square.default)
def square(draft: Draft, node: fx.Node) -> Result:
    """A product with itself."""
    return draft.call(aten.mul.Tensor, args_of(node)[0], args_of(node)[0])


@rewrites(aten.pow.Tensor_Scalar)
def power(draft: Draft, node: fx.Node) -> Result:
    """Small powers are products, halves are roots."""
    x, exponent = args_of(node)
    if exponent == 1:
        return x
    if exponent == 2:
        return draft.call(aten.mul.Tensor, x, x)
    if exponent == 3:
        return draft.call(aten.mul.Tensor, draft.call(aten.mul.Tensor, x, x), x)
    if exponent in (0.5, -0.5):
        return draft.call(aten.sqrt.default if exponent > 0 else aten.rsqrt.default, x)
    return None


@rewrites(aten.pow.Tensor_Tensor)
def power_by_tensor(draft: Draft, node: fx.Node) -> Result:
    """A constant exponent of one entry, as in generalised mean pooling, is a number."""
    x, exponent = args_of(node)
    if exponent.op != "get_attr" or shape_of(x) != shape_of(node):
        raise unsupported(node, "has an exponent of data")
    value = draft.constants[str(exponent.target)]
    if value.numel() != 1:
        raise unsupported(node, "has several exponents")
    return draft.call(aten.pow.Tensor_Scalar, x, value.item())


@rewrites(aten.pow.Scalar)
def power_of_number(draft: Draft, node: fx.Node) -> Result:
    """``a ** x`` = ``exp(x * log(a))``."""
    base, x = args_of(node)
    if base <= 0:
        raise unsupported(node, f"has base {base}; only positive ones are listed")
    return _exponential(draft, x, math.log(base))


@rewrites(aten.exp2.default)
def exp2(draft: Draft, node: fx.Node) -> Result:
    """As a power of 2."""
    return _exponential(draft, args_of(node)[0], math.log(2))


def _exponential(draft: Draft, x: fx.Node, factor: float) -> fx.Node:
    return draft.call(aten.exp.default, draft.call(aten.mul.Tensor, x, factor))


@rewrites(aten.expm1.default)
def expm1(draft: Draft, node: fx.Node) -> Result:
    """``exp(x) - 1``."""
    return draft.call(aten.add.Tensor, draft.call(aten.exp.default, args_of(node)[0]), -1)


@rewrites(aten.log1p.default)
def log1p(draft: Draft, node: fx.Node) -> Result:
    """``log(x + 1)``."""
    return draft.call(aten.log.default, draft.call(aten.add.Tensor, args_of(node)[0], 1))


@rewrites(aten.log2.default, aten.log10.default)
def log_of_base(draft: Draft, node: fx.Node) -> Result:
    """The natural logarithm times a number."""
    base = 2 if node.target == aten.log2.default else 10
    logarithm = draft.call(aten.log.default, args_of(node)[0])
    return draft.call(aten.mul.Tensor, logarithm, 1 / math.log(base))


@rewrites(aten.addcmul.default)
def addcmul(draft: Draft, node: fx.Node) -> Result:
    """``x + value * a * b``."""
    a = bound(node)
    product = draft.call(aten.mul.Tensor, a["tensor1"], a["tensor2"])
    if a["value"] != 1:
        product = draft.call(aten.mul.Tensor, product, a["value"])
    return draft.call(aten.add.Tensor, a["self"], product)


@rewrites(aten.lerp.Scalar, aten.lerp.Tensor)
def lerp(draft: Draft, node: fx.Node) -> Result:
    """``x + weight * (y - x)``."""
    a = bound(node)
    difference = draft.call(aten.sub.Tensor, a["end"], a["self"])
    return draft.call(
        aten.add.Tensor, a["self"], draft.call(aten.mul.Tensor, difference, a["weight"])
    )


@rewrites(aten.maximum.default, aten.minimum.default)
def extremum(draft: Draft, node: fx.Node) -> Result:
    """Two operands."""
    return draft.call(node.target, *args_of(node))


@rewrites(aten.max.other, aten.min.other)
def extremum_other(draft: Draft, node: fx.Node) -> Result:
    """The older names of maximum and minimum."""
    is_max = node.target == aten.max.other
    return draft.call(aten.maximum.default if is_max else aten.minimum.default, *args_of(node))


@rewrites(aten.clamp.default, aten.hardtanh.default, aten.clamp_min.default, aten.clamp_max.default)
def clamp(draft: Draft, node: fx.Node) -> Result:
    """Bounds by number; a lower bound of zero alone is relu."""
    a = bound(node)
    low, high = a.get("min", a.get("min_val")), a.get("max", a.get("max_val"))
    if low == 0 and high is None:
        return draft.call(aten.relu.default, a["self"])
    return draft.call(aten.clamp.default, a["self"], low, high)


@rewrites(aten.clamp.Tensor, aten.clamp_min.Tensor, aten.clamp_max.Tensor)
def clamp_by_tensor(draft: Draft, node: fx.Node) -> Result:
    """Bounds by tensor are a maximum and a minimum."""
    a = bound(node)
    x, low, high = a["self"], _number(draft, a.get("min")), _number(draft, a.get("max"))
    # First the lower bound, then the upper, which is the result where it is below the lower.
    if is_tensor(low):
        x = draft.call(aten.maximum.default, x, low)
    elif low is not None:
        x = draft.call(aten.clamp.default, x, low, None)
    if is_tensor(high):
        return draft.call(aten.minimum.default, x, high)
    return x if high is None else draft.call(aten.clamp.default, x, None, high)


@rewrites(aten.relu6.default)
def relu6(draft: Draft, node: fx.Node) -> Result:
    """A clamp."""
    return draft.call(aten.clamp.default, args_of(node)[0], 0.0, 6.0)


@rewrites(aten.mish.default)
def mish(draft: Draft, node: fx.Node) -> Result:
    """``x * tanh(softplus(x))``."""
    x = args_of(node)[0]
    inner = draft.call(aten.tanh.default, draft.call(aten.softplus.default, x, 1, 20))
    return draft.call(aten.mul.Tensor, x, inner)


@rewrites(aten.glu.default)
def glu(draft: Draft, node: fx.Node) -> Result:
    """The first half times the sigmoid of the second."""
    a = bound(node)
    x, dim = a["self"], a["dim"] % len(shape_of(a["self"]))
    half = shape_of(node)[dim]
    gate = draft.call(aten.sigmoid.default, draft.slice(x, dim, half, 2 * half))
    return draft.call(aten.mul.Tensor, draft.slice(x, dim, 0, half), gate)


@rewrites(aten.log_sigmoid.default)
def log_sigmoid(draft: Draft, node: fx.Node) -> Result:
    """``log(sigmoid(x))`` = ``-softplus(-x)``."""
    inner = draft.call(aten.neg.default, args_of(node)[0])
    return draft.call(aten.neg.default, draft.call(aten.softplus.default, inner, 1, 20))


@rewrites(aten.elu.default)
def elu(draft: Draft, node: fx.Node) -> Result:
    """All arguments are given."""
    a = bound(node)
    return draft.call(aten.elu.default, a["self"], a["alpha"], a["scale"], a["input_scale"])


@rewrites(aten.celu.default)
def celu(draft: Draft, node: fx.Node) -> Result:
    """An elu whose input is divided by alpha."""
    a = bound(node)
    return draft.call(aten.elu.default, a["self"], a["alpha"], 1, 1 / a["alpha"])


@rewrites(aten.softplus.default, aten.leaky_relu.default)
def with_numbers(draft: Draft, node: fx.Node) -> Result:
    """All arguments are given."""
    return draft.call(node.target, *bound(node).values())


@rewrites(aten.softmax.int, aten._softmax.default)
def softmax(draft: Draft, node: fx.Node) -> Result:
    """The axis is counted from the back."""
    return draft.call(aten.softmax.int, args_of(node)[0], _from_back(node))


@rewrites(aten.log_softmax.int, aten._log_softmax.default)
def log_softmax(draft: Draft, node: fx.Node) -> Result:
    """The logarithm of a softmax."""
    return draft.call(aten.log_softmax.int, args_of(node)[0], _from_back(node))


def _from_back(node: fx.Node) -> int:
    rank = len(shape_of(node))
    return int(args_of(node)[1]) % rank - rank
