"""Masks of attention: constants that are added to logits so that a softmax gives them no share."""

from __future__ import annotations

import torch
from torch import fx, nn

from hybridquant.capture.draft import Draft, aten
from hybridquant.capture.graph import FloatGraph, args_of, weight_of

# Far below logits of some hundreds. 0 and one other number are exact in codes of any scale.
_MASKED = -1000.0
# Models write this or less for it (Swin: -100).
_LEAST = -50.0
_MOVES = (aten.reshape.default, aten.permute.default)


def bound_masks(draft: Draft) -> None:
    """Make what masks the logits of a softmax finite, and an addition of its own.

    Infinite numbers have no range. The share of -1000 is 0 in float32 as well, where it stays more
    than 104 below the largest logit of its row.
    """
    for node in list(draft.graph.nodes):
        if node.target is not aten.add.Tensor or not _reaches_softmax(node):
            continue
        constant = next((n for n in node.all_input_nodes if n.op == "get_attr"), None)
        if constant is not None:
            _bound(draft, node, constant)
    draft.sweep()


def _reaches_softmax(node: fx.Node) -> bool:
    """Say whether all that reads a value is softmaxes, behind moves and other additions."""
    if not node.users:
        return False
    return all(
        user.target is aten.softmax.int
        or (user.target in (*_MOVES, aten.add.Tensor) and _reaches_softmax(user))
        for user in node.users
    )


def _bound(draft: Draft, node: fx.Node, constant: fx.Node) -> None:
    """Add the finite part of a constant, if it has one, and its mask after that."""
    value = draft.constants[str(constant.target)]
    is_masked = value.detach() <= _MASKED
    if not bool(is_masked.any()):
        return
    mask = torch.zeros_like(value).masked_fill(is_masked, _MASKED)
    rest = value.detach().masked_fill(is_masked, 0.0)
    with draft.at(node):
        x = next(n for n in node.all_input_nodes if n is not constant)
        if bool(rest.any()):
            kept = nn.Parameter(rest) if isinstance(value, nn.Parameter) else rest
            name = draft.fresh_name(node.meta["path"], "bias")
            x = draft.call(aten.add.Tensor, x, draft.constant(name, kept))
        name = draft.fresh_name(node.meta["path"], "mask")
        draft.replace(node, draft.call(aten.add.Tensor, x, draft.constant(name, mask)))


def is_masked(graph: FloatGraph, softmax: fx.Node) -> bool:
    """Say whether a constant mask has been added to a softmax's logits.

    Args:
        graph: A FloatGraph or QuantGraph.
        softmax: One of its nodes.
    """
    node = _source(args_of(softmax)[0])
    while node.target in (*_MOVES, aten.add.Tensor):
        count = 2 if node.target is aten.add.Tensor else 1
        operands = [_source(n) for n in args_of(node)[:count] if isinstance(n, fx.Node)]
        constants = [weight_of(graph, n) for n in operands if n.op == "get_attr"]
        if any(bool((constant <= _LEAST).any()) for constant in constants):
            return True
        node = next(n for n in operands if n.op != "get_attr")
    return False


def _source(node: fx.Node) -> fx.Node:
    """Return what a fake-quant node reads; any other as it is."""
    source: fx.Node = args_of(node)[0] if node.op == "call_module" else node
    return source
