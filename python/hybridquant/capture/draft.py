"""Draft: the graph while passes rewrite it, with a meta tensor for every node.

Shapes are worked out for ``BATCH`` images, a prime that no other size is a multiple of: a size that
it divides is the batch's. That keeps every shape a tuple of plain ints.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx

from hybridquant.capture.errors import UnsupportedOperatorError

aten = torch.ops.aten

BATCH = 1_000_003


class Draft:
    """A graph under rewriting and the constants it reads.

    Every node's meta holds ``val`` (a meta tensor, or a number) and ``path``. ``get_attr`` nodes
    name entries of ``constants``.

    Args:
        graph: Functional ATen operators; the only placeholder is the image batch.
        constants: Parameters, buffers and folded constants by name.
        device: Where the images are, and where new constants go.

    Attributes:
        path: Module path that inserted nodes get.
        former_names: For a folded constant, the parameter of the same size it was made from.
    """

    def __init__(self, graph: fx.Graph, constants: dict[str, Tensor], device: torch.device) -> None:
        self.graph = graph
        self.constants = constants
        self.device = device
        self.path = ""
        self.former_names: dict[str, str] = {}

    @property
    def input(self) -> fx.Node:
        """The placeholder that holds the images."""
        image: fx.Node = next(n for n in self.graph.nodes if n.op == "placeholder")
        return image

    @contextmanager
    def at(self, node: fx.Node) -> Iterator[None]:
        """Insert what ``call`` and ``constant`` make before ``node``, on its module path."""
        before, self.path = self.path, node.meta["path"]
        try:
            with self.graph.inserting_before(node):
                yield
        finally:
            self.path = before

    def call(self, target: Any, *args: Any) -> fx.Node:
        """Insert a call of ``target`` and return its node, with its meta tensor worked out."""
        node = self.graph.call_function(target, args)
        with torch.no_grad():
            value = target(*fx.node.map_arg(args, lambda n: n.meta["val"]))
        node.meta = {"val": value, "path": self.path}
        return node

    def constant(self, name: str, value: Tensor) -> fx.Node:
        """Store ``value`` under ``name`` and insert a node that reads it."""
        self.constants[name] = value if value.device == self.device else value.to(self.device)
        return self.read(name)

    def read(self, name: str) -> fx.Node:
        """Insert a node that reads the constant ``name``."""
        # Not get_attr(): that looks for the attribute, which is set when the draft is finished.
        node = self.graph.create_node("get_attr", name)
        value = self.constants[name].detach()
        node.meta = {"val": value.to("meta"), "path": self.path}
        return node

    def fresh_name(self, path: str, stem: str) -> str:
        """Return a name for a new constant under module ``path`` that is not taken."""
        prefix = f"{path}.{stem}" if path else stem
        taken = set(self.constants)
        index = 0
        while any(n == f"{prefix}_{index}" or n.startswith(f"{prefix}_{index}.") for n in taken):
            index += 1
        return f"{prefix}_{index}"

    def replace(self, old: fx.Node, new: fx.Node) -> None:
        """Let every user of ``old`` read ``new``, and erase ``old``."""
        old.replace_all_uses_with(new)
        self.graph.erase_node(old)

    def sweep(self) -> None:
        """Erase what nothing reads, assertions included."""
        for node in reversed(list(self.graph.nodes)):
            if node.op in ("call_function", "get_attr") and not node.users:
                self.graph.erase_node(node)

    def reshape(self, x: fx.Node, shape: Sequence[int]) -> fx.Node:
        """Insert the canonical reshape of ``x`` to ``shape``; returns ``x`` where it has it.

        Args:
            x: Node to reshape.
            shape: Sizes; at most one may be the batch's.
        """
        if shape_of(x) == tuple(shape):
            return x
        sizes = [-1 if has_batch(size) else size for size in shape]
        if sizes.count(-1) > 1:
            operator, reason = "aten.reshape", f"has the batch on several axes of {sizes}"
            raise UnsupportedOperatorError(operator, self.path, reason)
        return self.call(aten.reshape.default, x, sizes)

    def permute(self, x: fx.Node, dims: list[int]) -> fx.Node:
        """Insert the canonical permute of ``x``; returns ``x`` where the order stays."""
        rank = len(dims)
        order = [dim % rank for dim in dims]
        return x if order == list(range(rank)) else self.call(aten.permute.default, x, order)

    def slice(self, x: fx.Node, dim: int, start: int, end: int, step: int = 1) -> fx.Node:
        """Insert ``x[start:end:step]`` on ``dim``; returns ``x`` where that is all of it."""
        if start == 0 and step == 1 and end == shape_of(x)[dim]:
            return x
        return self.call(aten.slice.Tensor, x, dim, start, end, step)


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """Return the node's sizes for ``BATCH`` images."""
    return tuple(node.meta["val"].shape)


def has_batch(size: int) -> bool:
    """Say whether an axis of this size holds the batch."""
    return size > 0 and size % BATCH == 0


def is_tensor(node: Any) -> bool:
    """Say whether ``node`` is a graph node that yields one tensor."""
    return isinstance(node, fx.Node) and isinstance(node.meta.get("val"), Tensor)
