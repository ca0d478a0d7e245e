"""Normalisations, with all their arguments spelled out."""

from __future__ import annotations

import math

from torch import fx

from hybridquant.capture.draft import Draft, aten, shape_of
from hybridquant.capture.errors import unsupported
from hybridquant.capture.normalize.table import Result, bound, rewrites


@rewrites(aten._native_batch_norm_legit_no_training.default)
def batch_norm(draft: Draft, node: fx.Node) -> Result:
    """The form with the running statistics as arguments."""
    a = bound(node)
    inputs = [a[key] for key in ("input", "weight", "bias", "running_mean", "running_var")]
    return [draft.call(aten.batch_norm.default, *inputs, False, 0.0, a["eps"], False)]


@rewrites(aten.batch_norm.default)
def plain_batch_norm(draft: Draft, node: fx.Node) -> Result:
    """Running statistics are used."""
    a = bound(node)
    if a["training"]:
        raise unsupported(node, "normalises by the batch's own statistics")
    inputs = [a[key] for key in ("input", "weight", "bias", "running_mean", "running_var")]
    return draft.call(aten.batch_norm.default, *inputs, False, 0.0, a["eps"], False)


@rewrites(aten.native_layer_norm.default)
def native_layer_norm(draft: Draft, node: fx.Node) -> Result:
    """The form with one output."""
    a = bound(node)
    inputs = [a[key] for key in ("input", "normalized_shape", "weight", "bias", "eps")]
    return [draft.call(aten.layer_norm.default, *inputs, False)]


@rewrites(aten.layer_norm.default)
def layer_norm(draft: Draft, node: fx.Node) -> Result:
    """All arguments are given."""
    a = bound(node)
    inputs = [a[key] for key in ("input", "normalized_shape", "weight", "bias", "eps")]
    return draft.call(aten.layer_norm.default, *inputs, False)


@rewrites(aten.group_norm.default)
def group_norm(draft: Draft, node: fx.Node) -> Result:
    """All arguments are given."""
    a = bound(node)
    inputs = [a[key] for key in ("input", "num_groups", "weight", "bias", "eps")]
    return draft.call(aten.group_norm.default, *inputs, False)


@rewrites(aten.native_group_norm.default)
def native_group_norm(draft: Draft, node: fx.Node) -> Result:
    """The form with one output."""
    a = bound(node)
    inputs = [a[key] for key in ("input", "group", "weight", "bias", "eps")]
    return [draft.call(aten.group_norm.default, *inputs, False)]


@rewrites(aten.instance_norm.default)
def instance_norm(draft: Draft, node: fx.Node) -> Result:
    """A group norm with one channel a group."""
    a = bound(node)
    if not a["use_input_stats"]:
        keys = ("input", "weight", "bias", "running_mean", "running_var")
        return draft.call(
            aten.batch_norm.default, *(a[k] for k in keys), False, 0.0, a["eps"], False
        )
    inputs = [a["input"], shape_of(node)[1], a["weight"], a["bias"], a["eps"]]
    return draft.call(aten.group_norm.default, *inputs, False)


@rewrites(aten.rms_norm.default)
def rms_norm(draft: Draft, node: fx.Node) -> Result:
    """All arguments are given; the default epsilon is float32's."""
    a = bound(node)
    eps = 2.0**-23 if a["eps"] is None else a["eps"]
    return draft.call(aten.rms_norm.default, a["input"], a["normalized_shape"], a["weight"], eps)


@rewrites(aten.linalg_vector_norm.default, aten.norm.ScalarOpt_dim)
def vector_norm(draft: Draft, node: fx.Node) -> Result:
    """The 2-norm over given axes; the 1-norm is a sum, the largest magnitude a maximum."""
    a = bound(node)
    order = a.get("ord", a.get("p"))
    if order not in (1, 2, math.inf, None) or not a["dim"]:
        reason = f"is of order {order}; only the norms 1, 2 and infinity over given axes are listed"
        raise unsupported(node, reason)
    dims = [dim % len(shape_of(a["self"])) for dim in a["dim"]]
    if order in (1, math.inf):
        operator = aten.sum.dim_IntList if order == 1 else aten.amax.default
        magnitudes = draft.call(aten.abs.default, a["self"])
        return draft.call(operator, magnitudes, sorted(dims), a["keepdim"])
    return draft.call(aten.linalg_vector_norm.default, a["self"], 2, dims, a["keepdim"])


@rewrites(aten.var.correction)
def var(draft: Draft, node: fx.Node) -> Result:
    """The mean of squared deviations, times n / (n - correction)."""
    a = bound(node)
    return _var(draft, a["self"], a["dim"], a["correction"], a["keepdim"])


@rewrites(aten.var_mean.correction)
def var_mean(draft: Draft, node: fx.Node) -> Result:
    """As var, and the mean."""
    a = bound(node)
    mean = draft.call(aten.mean.dim, a["self"], list(a["dim"]), a["keepdim"])
    return [_var(draft, a["self"], a["dim"], a["correction"], a["keepdim"]), mean]


def _var(
    draft: Draft, x: fx.Node, dims: list[int] | None, correction: float | None, keepdim: bool
) -> fx.Node:
    axes = [dim % len(shape_of(x)) for dim in (dims or range(len(shape_of(x))))]
    count = math.prod(shape_of(x)[axis] for axis in axes)
    mean = draft.call(aten.mean.dim, x, axes, True)
    deviation = draft.call(aten.sub.Tensor, x, mean)
    square = draft.call(aten.mul.Tensor, deviation, deviation)
    variance = draft.call(aten.mean.dim, square, axes, keepdim)
    given = 1 if correction is None else correction
    return draft.call(aten.mul.Tensor, variance, count / (count - given)) if given else variance
