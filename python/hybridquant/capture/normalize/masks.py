"""Choices by constant masks, and what masks the logits of a softmax."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, fx

from hybridquant.capture.draft import Draft, aten, is_tensor, shape_of
from hybridquant.capture.errors import unsupported
from hybridquant.capture.graph import args_of
from hybridquant.capture.normalize.table import Result, rewrites


@rewrites(aten.masked_fill.Scalar, aten.masked_fill.Tensor)
def masked_fill(draft: Draft, node: fx.Node) -> Result:
    """A constant mask: keep by a product with 0 and 1, and add the value where it was masked."""
    x, mask, value = args_of(node)
    number = float(draft.constants[value.target]) if is_tensor(value) else float(value)
    if mask.op != "get_attr":
        raise unsupported(node, "has a mask of data")
    return _filled(draft, x, draft.constants[mask.target], number)


@rewrites(aten.where.self, aten.where.ScalarOther, aten.where.ScalarSelf)
def where(draft: Draft, node: fx.Node) -> Result:
    """A constant condition: one tensor where it holds, the other elsewhere."""
    condition, x, y = args_of(node)
    if condition.op != "get_attr":
        raise unsupported(node, "chooses by data")
    keep = draft.constants[condition.target]
    for first, second, mask in ((x, y, keep.logical_not()), (y, x, keep)):
        number = _number(draft, second)
        if number is not None and is_tensor(first) and shape_of(first) == shape_of(node):
            return _filled(draft, first, mask, number)
    parts = ((x, keep), (y, keep.logical_not()))
    terms = [draft.call(aten.mul.Tensor, *_both(draft, part, mask)) for part, mask in parts]
    return draft.call(aten.add.Tensor, *terms)


def _filled(draft: Draft, x: fx.Node, mask: Tensor, number: float) -> fx.Node:
    """Return ``x`` with ``number`` where ``mask`` holds."""
    keep = mask.logical_not()
    if math.isinf(number):
        added = torch.zeros(keep.shape, device=keep.device).masked_fill(~keep, number)
        return draft.call(aten.add.Tensor, x, _constant(draft, "mask", added))
    kept = draft.call(aten.mul.Tensor, x, _constant(draft, "keep", keep.float()))
    if number == 0:
        return kept
    return draft.call(aten.add.Tensor, kept, _constant(draft, "fill", (~keep).float() * number))


def _both(draft: Draft, part: Any, mask: Tensor) -> tuple[Any, Any]:
    """Return a mask of 0 and 1 and what it is multiplied with, the tensor of data first."""
    ones = _constant(draft, "keep", mask.float())
    return (part, ones) if is_tensor(part) else (ones, part)


def _number(draft: Draft, value: fx.Node | float) -> float | None:
    """Return a number, or a constant without axes, as a float; None for other tensors."""
    if not isinstance(value, fx.Node):
        return float(value)
    is_scalar = value.op == "get_attr" and draft.constants[str(value.target)].numel() == 1
    return float(draft.constants[str(value.target)]) if is_scalar else None


def _constant(draft: Draft, stem: str, value: Tensor) -> fx.Node:
    return draft.constant(draft.fresh_name(draft.path, stem), value)
