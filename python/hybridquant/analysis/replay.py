"""A QuantGraph with single operators the other way: one quantized in float, or one in float."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, cast

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of, weight_of
from hybridquant.quant_graph import QuantGraph

Values = dict[fx.Node, Tensor]


class Replay:
    """Runs a QuantGraph in which some operators read quantized inputs and the others float ones.

    A float operator reads its parameters as they were before a pass rounded or corrected them. No
    operator is computed twice for the same inputs: ``flips`` walks through the graph once and, at
    each operator, runs from there to the logits only.

    Costs the memory of the weights once more, quantized, and twice that of the activations that one
    batch has at a time.

    Args:
        graph: A calibrated graph; not changed.

    Attributes:
        operators: The operators with a quantized input, in graph order.
    """

    def __init__(self, graph: QuantGraph) -> None:
        names = {edge.edge.node for edge in graph.quant_edges}
        modules = {edge.module for edge in graph.quant_edges}
        nodes = list(graph.graph.nodes)
        self._graph = graph
        self._fake_quants = {
            node for node in nodes if node.op == "call_module" and str(node.target) in modules
        }
        self._steps = [node for node in nodes if node.op not in ("get_attr", "placeholder")]
        self._steps = [node for node in self._steps if node not in self._fake_quants]
        self._last_reads = self._find_last_reads()
        self._float, self._quantized = self._constants(nodes)
        self.operators = tuple(node.name for node in self._steps if node.name in names)

    @torch.no_grad()
    def run(self, x: Tensor, quantized: Collection[str]) -> Tensor:
        """Return the logits with the operators named in ``quantized`` quantized, others in float.

        Args:
            x: Images. # [batch, channels, height, width]
            quantized: Names of operators.
        """
        return self._finish(self._begin(x), 0, frozenset(quantized))

    @torch.no_grad()
    def flips(self, x: Tensor, *, others: bool) -> Iterator[tuple[str, Tensor]]:
        """Yield each operator and the logits where it alone is the other way, in graph order.

        Args:
            x: Images. # [batch, channels, height, width]
            others: Whether all other operators are quantized and this one is in float; or the
                other way round.
        """
        names = frozenset(self.operators)
        usual = names if others else frozenset[str]()
        values = self._begin(x)
        for position, node in enumerate(self._steps):
            if node.name in names:
                branch = dict(values)
                self._advance(branch, position, frozenset() if others else names)
                yield node.name, self._finish(branch, position + 1, usual)
            self._advance(values, position, usual)

    def visit(self, x: Tensor) -> Iterator[tuple[fx.Node, Tensor, Values]]:
        """Yield each operator, its value in float and the values it read, with gradients.

        Args:
            x: Images that ask for gradients. # [batch, channels, height, width]
        """
        values = self._begin(x)
        for position, node in enumerate(self._steps):
            read = dict(values)
            self._advance(values, position, frozenset())
            if node.op != "output":
                yield node, values[node], read
            else:
                yield node, self._logits(node, read), read

    @torch.no_grad()
    def inputs(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield the name of each fake-quant module and what it reads when all is in float.

        Args:
            x: Images. # [batch, channels, height, width]
        """
        values = self._begin(x)
        left = set(self._fake_quants)
        for position, node in enumerate(self._steps):
            for read in left.intersection(node.all_input_nodes):
                yield str(read.target), self._read(read, values, is_quantized=False)
                left.remove(read)
            self._advance(values, position, frozenset())

    def compute(self, node: fx.Node, values: Values) -> Tensor:
        """Return what ``node`` computes from ``values`` when it is quantized."""
        return self._compute(node, values, is_quantized=True)

    def _begin(self, x: Tensor) -> Values:
        return {self._graph.graph.find_nodes(op="placeholder")[0]: x}

    def _finish(self, values: Values, position: int, quantized: frozenset[str]) -> Tensor:
        for later in range(position, len(self._steps) - 1):
            self._advance(values, later, quantized)
        return self._logits(self._steps[-1], values)

    def _advance(self, values: Values, position: int, quantized: frozenset[str]) -> None:
        """Compute one step and drop what nothing reads after it."""
        node = self._steps[position]
        if node.op != "output":
            values[node] = self._compute(node, values, node.name in quantized)
        for read in self._last_reads.get(position, ()):
            values.pop(read, None)

    def _compute(self, node: fx.Node, values: Values, is_quantized: bool) -> Tensor:
        def value_of(read: fx.Node) -> Tensor:
            return self._read(read, values, is_quantized)

        args = fx.map_arg(node.args, value_of)
        kwargs = fx.map_arg(node.kwargs, value_of)
        if node.op == "call_module":
            return cast(Tensor, self._graph.get_submodule(str(node.target))(*args, **kwargs))
        return cast(Tensor, node.target(*args, **kwargs))  # type: ignore[operator]

    def _read(self, node: fx.Node, values: Values, is_quantized: bool) -> Tensor:
        constants = self._quantized if is_quantized else self._float
        if node in constants:
            return constants[node]
        if node in self._fake_quants:
            x = values[args_of(node)[0]]
            return cast(Tensor, self._module(node)(x)) if is_quantized else x
        return values[node]

    def _logits(self, output: fx.Node, values: Values) -> Tensor:
        read = args_of(output)[0]
        return self._read(read, values, is_quantized=False)

    def _module(self, fake_quant: fx.Node) -> Any:
        return self._graph.get_submodule(str(fake_quant.target))

    @torch.no_grad()
    def _constants(self, nodes: list[fx.Node]) -> tuple[Values, Values]:
        """Return parameters, and fake-quantized parameters, in float and as quantized."""
        in_float: Values = {}
        quantized: Values = {}
        for node in nodes:
            if node.op == "get_attr":
                in_float[node] = self._graph.original(node)
                quantized[node] = weight_of(self._graph, node).detach()
            elif node in self._fake_quants and args_of(node)[0] in in_float:
                source = args_of(node)[0]
                in_float[node] = in_float[source]
                quantized[node] = self._module(node)(quantized[source])
        return in_float, quantized

    def _find_last_reads(self) -> dict[int, list[fx.Node]]:
        last: dict[fx.Node, int] = {}
        for position, node in enumerate(self._steps):
            for read in node.all_input_nodes:
                source = args_of(read)[0] if read in self._fake_quants else read
                last[source] = position
        found: dict[int, list[fx.Node]] = {}
        for node, position in last.items():
            found.setdefault(position, []).append(node)
        return found
