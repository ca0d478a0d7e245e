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


def repeat_borders(draft: Draft) -> None:
    """Pad images for a maximum by their border where they are padded by infinitely small numbers.

    A window that reaches beyond the border holds the border too, and a maximum does not count.
    """
    for node in list(draft.graph.nodes):
        if node.target is not aten.constant_pad_nd.default:
            continue
        x, amounts, value = args_of(node)
        if value != float("-inf") or not _is_for_maxima(node, amounts):
            continue
        sides = [*amounts, *[0] * (4 - len(amounts))]
        with draft.at(node):
            draft.replace(node, draft.call(aten.replication_pad2d.default, x, sides))


def _is_for_maxima(node: fx.Node, amounts: list[int]) -> bool:
    """Say whether only maxima of windows without gaps read a pad that is smaller than these."""
    if len(amounts) > 4 or not node.users:
        return False
    for user in node.users:
        if user.target is not aten.max_pool2d.default or any(d != 1 for d in args_of(user)[4]):
            return False
        kernel = args_of(user)[1]
        sizes = [kernel[1], kernel[1], kernel[0], kernel[0]]
        if any(amount >= size for amount, size in zip(amounts, sizes, strict=False)):
            return False
    return True
