"""Norms that are spelled out become operators of their own, with what scales and shifts them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from hybridquant.capture.affine import as_affine
from hybridquant.capture.draft import Draft, aten, is_tensor, shape_of
from hybridquant.capture.graph import args_of


@dataclass(frozen=True)
class _Norm:
    """``x``, less its mean where it is centred, divided by ``sqrt(factor * variance + epsilon)``.

    The variance is the mean of squares over ``axes``.
    """

    x: fx.Node
    axes: tuple[int, ...]
    is_centred: bool
    factor: float
    epsilon: float


def find_norms(draft: Draft) -> None:
    """Replace layer norms and root-mean-square norms that are spelled out by their operators.

    ``(x - mean(x)) / sqrt(mean((x - mean(x)) ** 2) + epsilon)`` over any axes is a layer norm, the
    same without the means a root-mean-square norm. Factors and offsets behind it become its weight
    and bias. An integer model then rounds once, not at each of its steps.
    """
    for node in list(draft.graph.nodes):
        norm = _norm(node) if node.op == "call_function" else None
        if norm is not None:
            _insert(draft, node, norm)
    draft.sweep()


def _norm(node: fx.Node) -> _Norm | None:
    """Return the norm that a quotient, or a product with an inverse root, is."""
    if node.target is aten.div.Tensor:
        pairs, root = [args_of(node)], aten.sqrt.default
    elif node.target is aten.mul.Tensor:
        pairs, root = [args_of(node), args_of(node)[::-1]], aten.rsqrt.default
    else:
        return None
    for x, divisor in pairs:
        if is_tensor(x) and _is(divisor, root):
            found = _over_root(x, args_of(divisor)[0])
            if found is not None:
                return found
    return None


def _over_root(x: fx.Node, squared: fx.Node) -> _Norm | None:
    """Return the norm that divides ``x`` by the root of ``squared``."""
    variance, epsilon = _split(squared, aten.add.Tensor, 0.0)
    variance, factor = _split(variance, aten.mul.Tensor, 1.0)
    if not _is(variance, aten.mean.dim) or not args_of(variance)[2] or epsilon < 0 or factor <= 0:
        return None
    square, axes = args_of(variance)[0], tuple(args_of(variance)[1])
    if not _is(square, aten.mul.Tensor) or not all(_same(part, x) for part in args_of(square)):
        return None
    if _is(x, aten.sub.Tensor):
        source, mean = args_of(x)
        if _is(mean, aten.mean.dim) and _same(args_of(mean)[0], source):
            is_whole = tuple(args_of(mean)[1]) == axes and args_of(mean)[2]
            return _Norm(source, axes, True, factor, epsilon) if is_whole else None
    return _Norm(x, axes, False, factor, epsilon)


def _split(node: Any, operator: Any, nothing: float) -> tuple[Any, float]:
    """Return the operands of ``node`` if it joins a tensor and a number by ``operator``."""
    if _is(node, operator) and isinstance(args_of(node)[1], (int, float)):
        return args_of(node)[0], float(args_of(node)[1])
    return node, nothing


def _is(node: Any, operator: Any) -> bool:
    return isinstance(node, fx.Node) and node.target is operator


def _same(first: Any, second: Any) -> bool:
    """Say whether two nodes compute the same, as where a mean is taken twice."""
    if first is second or not (isinstance(first, fx.Node) and isinstance(second, fx.Node)):
        return bool(first is second or first == second)
    if first.op != "call_function" or first.target is not second.target:
        return False
    if first.target not in (aten.sub.Tensor, aten.mean.dim) or first.kwargs != second.kwargs:
        return False
    return all(_same(a, b) for a, b in zip(args_of(first), args_of(second), strict=True))


def _insert(draft: Draft, node: fx.Node, norm: _Norm) -> None:
    """Put the norm in the place of ``node`` and of the factors and offsets behind it."""
    last, weight, bias, names = _affine_behind(draft, node, norm)
    rest = [axis for axis in range(len(shape_of(norm.x))) if axis not in norm.axes]
    order = [*rest, *norm.axes]
    sizes = [shape_of(norm.x)[axis] for axis in norm.axes]
    weight = weight / math.sqrt(norm.factor)
    with draft.at(last):
        x = draft.permute(norm.x, order)
        scale = _parameter(draft, weight, sizes, 1.0, names[aten.mul.Tensor])
        epsilon = norm.epsilon / norm.factor
        if norm.is_centred:
            shift = _parameter(draft, bias, sizes, 0.0, names[aten.add.Tensor])
            made = draft.call(aten.layer_norm.default, x, sizes, scale, shift, epsilon, False)
        else:
            made = draft.call(aten.rms_norm.default, x, sizes, scale, epsilon)
        back = [order.index(axis) for axis in range(len(order))]
        draft.replace(last, draft.permute(made, back))


def _affine_behind(
    draft: Draft, node: fx.Node, norm: _Norm
) -> tuple[fx.Node, Tensor, Tensor, dict[Any, list[str]]]:
    """Return the last of the factors and offsets behind a norm, and what they add up to.

    And the names of the constants that go into these, by operator.
    """
    weight, bias = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    names: dict[Any, list[str]] = {aten.mul.Tensor: [], aten.add.Tensor: []}
    while len(node.users) == 1:
        (user,) = node.users
        affine = as_affine(draft, user) if user.op == "call_function" else None
        if affine is None or affine.x is not node:
            break
        is_along = affine.axis is None or norm.axes == (affine.axis,)
        if not is_along or (affine.shift is not None and not norm.is_centred):
            break
        weight, bias = weight * affine.scale, bias * affine.scale
        bias = bias if affine.shift is None else bias + affine.shift
        read = [str(n.target) for n in user.all_input_nodes if n.op == "get_attr"]
        names.setdefault(user.target, []).extend(read)
        node = user
    return node, weight, bias, names


def _parameter(
    draft: Draft, value: Tensor, sizes: list[int], nothing: float, names: list[str]
) -> fx.Node | None:
    """Insert a weight or bias of the norm; None where it changes nothing and no constant made it.

    It is trainable where a parameter went into it, and called after the only one of its size.
    """
    if not names and bool((value == nothing).all()):
        return None
    stored = value.float().expand(sizes).contiguous()
    parameters = [name for name in names if isinstance(draft.constants[name], nn.Parameter)]
    if parameters:
        is_trainable = any(draft.constants[name].requires_grad for name in parameters)
        stored = nn.Parameter(stored, requires_grad=is_trainable)
    name = draft.fresh_name(draft.path, "constant")
    same = [p for p in parameters if draft.constants[p].numel() == stored.numel()]
    if len(same) == 1:
        draft.former_names[name] = draft.former_names.pop(same[0], same[0])
    return draft.constant(name, stored)
