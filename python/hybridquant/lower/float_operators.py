"""Operators that stay in float: they read codes, compute in float32, and write codes."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of
from hybridquant.capture.vocabulary import LAYOUT_KINDS
from hybridquant.lower.int_graph import DTYPES, Codes

_NARROW = ("uint8", "int8", "int16")


class FloatNames:
    """Which operators stay in float.

    Args:
        names: Of operators, those of the nodes of ``graph.graph``, which errors print too, or
            paths of modules, all of whose operators stay.
        graph: The QuantGraph.

    Raises:
        TypeError: If ``names`` is no sequence of texts.
        ValueError: If one of them names nothing.
    """

    def __init__(self, names: Sequence[str], graph: fx.GraphModule) -> None:
        is_list = isinstance(names, Sequence) and not isinstance(names, str)
        if not is_list or not all(isinstance(name, str) for name in names):
            msg = f"lower: allow_float must be a list of names, got {names!r}"
            raise TypeError(msg)
        nodes = [node for node in graph.graph.nodes if _is_operator(node)]
        self._nodes = {name: {node for node in nodes if _is_named(node, name)} for name in names}
        for name, found in self._nodes.items():
            if not found:
                msg = (
                    "lower: allow_float must hold names of operators or paths of modules with "
                    f"operators, got {name!r}, which is neither"
                )
                raise ValueError(msg)

    def __contains__(self, node: fx.Node) -> bool:
        """Return whether an operator stays in float."""
        return any(node in found for found in self._nodes.values())

    def check_kept(self, functions: Iterable[object]) -> None:
        """Check that each name kept something.

        Args:
            functions: Those of the integer model.

        Raises:
            ValueError: If a name kept nothing.
        """
        kept = {name for f in functions if isinstance(f, FloatFunction) for name in f.operators}
        for name, found in self._nodes.items():
            if kept.isdisjoint(node.name for node in found):
                msg = (
                    f"lower: allow_float: no operator of {name!r} is computed on its own: it is "
                    "part of another, such as a norm written out in steps, or nothing reads it"
                )
                raise ValueError(msg)


@dataclass(frozen=True)
class Region:
    """Operators that are computed together, since nothing quantizes what one gives the next.

    Args:
        nodes: The operators and moves, in the order of the graph; the last is the result.
        sources: What they read and is in codes: activations of other nodes.
    """

    nodes: list[fx.Node]
    sources: list[fx.Node]


def region_of(node: fx.Node, names: FloatNames) -> Region:
    """Return an operator that stays in float with those before it whose values have no codes."""
    nodes: dict[fx.Node, None] = {}
    sources: dict[fx.Node, None] = {}

    def visit(reader: fx.Node) -> None:
        if reader in nodes:
            return
        for argument in reader.all_input_nodes:
            if argument in names or argument.meta["kind"] in LAYOUT_KINDS:
                visit(argument)
            elif not _is_parameter(argument):
                sources[argument] = None
        nodes[reader] = None

    visit(node)
    return Region(list(nodes), list(sources))


class FloatFunction:
    """A region of a QuantGraph, from codes to codes.

    Args:
        graph: The calibrated QuantGraph.
        region: What is computed; its parameters are copied.
        inputs: Codes of the region's sources.
        output: Codes of the result.
    """

    def __init__(
        self, graph: fx.GraphModule, region: Region, inputs: Sequence[Codes], output: Codes
    ) -> None:
        self.operators = tuple(node.name for node in region.nodes if _is_operator(node))
        self.inputs, self.output = tuple(inputs), output
        self._module = copy.deepcopy(_module_of(graph, region))

    @torch.no_grad()
    def __call__(self, codes: Sequence[Tensor]) -> Tensor:
        """Return the codes of the result.

        Args:
            codes: Of each source, integers, for one image.

        Raises:
            ValueError: If a result is NaN, which no code stands for.
        """
        values = [
            ((q.double() - read.zero_point) * read.scale).float()
            for q, read in zip(codes, self.inputs, strict=True)
        ]
        result = self._module(*values)
        if result.isnan().any():
            msg = f"{', '.join(self.operators)}: results must be numbers, got NaN"
            raise ValueError(msg)
        its = self.output
        if its.dtype in _NARROW:  # as fake-quantization does, by the float32 reciprocal
            steps = torch.round(result.float() * (1 / torch.tensor(its.scale, dtype=torch.float32)))
            found = (steps + its.zero_point).clamp(its.lowest, its.highest)
        else:
            found = its.quantize(result)
        return found.to(DTYPES[its.dtype])


def _is_operator(node: fx.Node) -> bool:
    return node.op == "call_function" and node.meta["kind"] not in LAYOUT_KINDS


def _is_named(node: fx.Node, name: str) -> bool:
    path = node.meta["path"]
    return name != "" and (name in (node.name, path) or path.startswith(f"{name}."))


def _is_parameter(node: fx.Node) -> bool:
    """Return whether a node is a parameter, or one through a fake-quant module."""
    source = args_of(node)[0] if node.op == "call_module" else node
    return bool(source.meta["kind"] == "parameter")


def _module_of(graph: fx.GraphModule, region: Region) -> fx.GraphModule:
    """Return a module of a region with its parameters, that takes its sources."""
    alone = fx.Graph()
    copies = {source: alone.placeholder(source.name) for source in region.sources}

    def copied(node: fx.Node) -> fx.Node:
        if node not in copies:
            copies[node] = alone.node_copy(node, copied)
        return copies[node]

    alone.output(copied(region.nodes[-1]))
    return fx.GraphModule(graph, alone)
