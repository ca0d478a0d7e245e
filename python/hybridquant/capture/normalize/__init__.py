"""Rewrites into the canonical vocabulary, one topic a file."""

from __future__ import annotations

import operator

from torch import Tensor, fx

from hybridquant.capture.draft import Draft, aten
from hybridquant.capture.errors import unsupported
from hybridquant.capture.graph import args_of
from hybridquant.capture.normalize import (
    convs,
    elementwise,
    gather,
    masks,
    matmuls,
    noops,
    norms,
    pooling,
    resizing,
    slices,
    views,
)
from hybridquant.capture.normalize.table import REWRITES

__all__ = ["REWRITES", "normalize"]

# Importing a topic fills the table.
TOPICS = (
    *(convs, elementwise, gather, masks, matmuls, noops, norms),
    *(pooling, resizing, slices, views),
)


def normalize(draft: Draft) -> None:
    """Rewrite every operator of ``draft`` that has an entry in the table, in order."""
    for node in list(draft.graph.nodes):
        rewrite = REWRITES.get(node.target) if node.op == "call_function" else None
        if rewrite is None or not node.users:
            continue
        if node.target not in _TAKE_SIZES and not all(map(_is_value, node.all_input_nodes)):
            raise unsupported(node, _BATCH_SIZE)
        with draft.at(node):
            result = rewrite(draft, node)
        if result is None:
            continue
        if isinstance(result, fx.Node):
            draft.replace(node, result)
        else:
            _replace_outputs(draft, node, list(result))
    draft.sweep()


_BATCH_SIZE = (
    "has the batch size among its arguments, as where each image has weights of its own; "
    "express it for any number of images"
)
# Rewrites that work out sizes from the result, whatever the arguments are.
_TAKE_SIZES = frozenset(
    {
        aten.view.default,
        aten._unsafe_view.default,
        aten.reshape.default,
        aten.unflatten.int,
        aten.expand.default,
        aten.slice.Tensor,
        aten.slice_scatter.default,
    }
)


def _is_value(node: fx.Node) -> bool:
    return isinstance(node.meta["val"], (Tensor, list))


def _replace_outputs(draft: Draft, node: fx.Node, results: list[fx.Node]) -> None:
    for user in list(node.users):
        if user.target is operator.getitem and args_of(user)[1] < len(results):
            draft.replace(user, results[args_of(user)[1]])
