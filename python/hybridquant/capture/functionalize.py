"""A short cut around torch's functionalising second trace, for graphs that hardly need it."""

from __future__ import annotations

import operator
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

from hybridquant.capture.draft import Draft
from hybridquant.capture.graph import args_of
from hybridquant.capture.vocabulary import LAYOUT_KINDS, OPERATORS


def is_simple(graph: fx.Graph, image: str, known: Collection[Any]) -> bool:
    """Say whether ``graph`` needs no decomposition.

    That is so if every operator on the images is known, and every write in place goes to a value
    that nothing has read before and that is no view: then the write's result simply takes the
    value's place.

    Args:
        graph: What torch.export made; not changed.
        image: Name of the images' placeholder.
        known: The operators that capture keeps or rewrites.
    """
    data: set[fx.Node] = set()
    for node in graph.nodes:
        if node.name == image:
            data.add(node)
        if node.op != "call_function":
            continue
        if _is_write(node.target):
            if not _is_plain_write(node, data, known):
                return False
        elif data.isdisjoint(node.all_input_nodes) or not _holds_tensors(node):
            continue
        elif node.target not in known and node.target is not operator.getitem and node.users:
            return False
        data.add(node)
    return True


def take_writes_out(draft: Draft) -> None:
    """Replace each write in place by the operator that returns its result."""
    for node in list(draft.graph.nodes):
        if node.op == "call_function" and _is_write(node.target):
            written = args_of(node)[0]
            written.replace_all_uses_with(node, delete_user_cb=lambda u, n=node: u is not n)
            node.target = _without_write(node.target)


def _is_write(target: Any) -> bool:
    return isinstance(target, OpOverload) and bool(target._schema.is_mutable)


def _is_plain_write(node: fx.Node, data: set[fx.Node], known: Collection[Any]) -> bool:
    written = args_of(node)[0]
    is_fresh = next(iter(written.users)) is node and not _is_view(written.target)
    return written in data and is_fresh and _without_write(node.target) in known


def _is_view(target: Any) -> bool:
    """Say whether a node's result may share memory with another value."""
    plain = _without_write(target) if _is_write(target) else target
    return OPERATORS.get(plain, "reshape") in LAYOUT_KINDS


def _without_write(target: Any) -> Any:
    """Return ``aten.silu.default`` for ``aten.silu_.default``, or None if there is none."""
    name = target._schema.name.removeprefix("aten::").removesuffix("_")
    return getattr(getattr(torch.ops.aten, name, None), target._overloadname, None)


def _holds_tensors(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), (Tensor, list, tuple))
