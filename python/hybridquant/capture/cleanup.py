"""Simplifications that need more than one node."""

from __future__ import annotations

from typing import Any

from torch import fx

from hybridquant.capture.draft import Draft, aten, is_tensor, shape_of
from hybridquant.capture.graph import args_of


def merge_views(draft: Draft) -> None:
    """Make one reshape of two in a row, and one permute of two; drop what changes nothing."""
    for node in list(draft.graph.nodes):
        before = args_of(node)[0] if args_of(node) else None
        if not isinstance(before, fx.Node) or before.target is not node.target:
            continue
        with draft.at(node):
            if node.target is aten.reshape.default:
                inner = args_of(before)[0]
                draft.replace(node, draft.reshape(inner, shape_of(node)))
            elif node.target is aten.permute.default:
                order = [args_of(before)[1][axis] for axis in args_of(node)[1]]
                draft.replace(node, draft.permute(args_of(before)[0], order))
    draft.sweep()


def find_activations(draft: Draft) -> None:
    """Replace activations that are spelled out by their own operator.

    ``x * sigmoid(x)`` is silu; ``x * (clamp(x + 3, 0, 6) * (1/6))`` and ``x * hardsigmoid(x)`` are
    hardswish.
    """
    for node in list(draft.graph.nodes):
        if node.target is not aten.mul.Tensor:
            continue
        for x, gate in (args_of(node), args_of(node)[::-1]):
            operator = _gated(x, gate)
            if operator is not None:
                with draft.at(node):
                    draft.replace(node, draft.call(operator, x))
                break
    draft.sweep()


def _gated(x: Any, gate: Any) -> Any:
    """Return the activation that ``x * gate`` is, or None."""
    if not is_tensor(gate) or gate.op != "call_function":
        return None
    if gate.target is aten.sigmoid.default and args_of(gate)[0] is x:
        return aten.silu.default
    if gate.target is aten.hardsigmoid.default and args_of(gate)[0] is x:
        return aten.hardswish.default
    return aten.hardswish.default if _is_hardsigmoid(x, gate) else None


def _is_hardsigmoid(x: Any, gate: fx.Node) -> bool:
    if gate.target is not aten.mul.Tensor or args_of(gate)[1] != 1.0 / 6.0:
        return False
    clamp = args_of(gate)[0]
    if clamp.target is not aten.clamp.default or tuple(args_of(clamp)[1:]) != (0.0, 6.0):
        return False
    shifted = args_of(clamp)[0]
    return shifted.target is aten.add.Tensor and tuple(args_of(shifted)) == (x, 3)
