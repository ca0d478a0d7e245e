"""Units: operators of a QuantGraph that are looked at together."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import fx

from hybridquant.quant_graph import QuantGraph


@dataclass(frozen=True)
class Unit:
    """Operators that are run, changed and judged together.

    Args:
        nodes: The operators, in graph order.
        inputs: Operators outside, or the image, whose values they read.
        outputs: Those of ``nodes`` whose values something outside reads.
        is_single: Whether nobody asked for this unit: an operator that stands between units.
    """

    nodes: tuple[fx.Node, ...]
    inputs: tuple[fx.Node, ...]
    outputs: tuple[fx.Node, ...]
    is_single: bool = False


def unit_of(nodes: Iterable[fx.Node], is_single: bool = False) -> Unit:
    """Return the unit of some operators of one graph, with what it reads and what is read of it.

    Raises:
        ValueError: If there is no operator.
    """
    members = dict.fromkeys(nodes)
    if not members:
        msg = "unit_of: nodes must hold at least one operator, got none"
        raise ValueError(msg)
    inputs = dict.fromkeys(
        source for node in members for source in operators_read(node) if source not in members
    )
    outputs = [
        node for node in members if any(reader not in members for reader in readers_of(node))
    ]
    return Unit(tuple(members), tuple(inputs), tuple(outputs), is_single)


def operators_read(node: fx.Node) -> list[fx.Node]:
    """Return the operators, or the image, whose values ``node`` reads, fake-quantization aside."""
    found = []
    for argument in node.all_input_nodes:
        source = unquantized(argument)
        if source.op != "get_attr":
            found.append(source)
    return found


def unquantized(node: fx.Node) -> fx.Node:
    """Return the operator, parameter or image whose value ``node`` is, or fake-quantizes."""
    while node.op == "call_module":
        node = node.all_input_nodes[0]
    return node


def num_readers(graph: QuantGraph, parameter: fx.Node) -> int:
    """Return how many operators read a parameter, by any of its ``get_attr`` nodes."""
    nodes = (node for node in graph.graph.nodes if node.target == parameter.target)
    return len({reader for node in nodes for reader in readers_of(node)})


def readers_of(node: fx.Node) -> list[fx.Node]:
    """Return who reads the value of ``node``, fake-quantization aside: operators, the output."""
    readers: list[fx.Node] = []
    for user in node.users:
        readers += readers_of(user) if user.op == "call_module" else [user]
    return readers


def in_order(graph: QuantGraph, units: Sequence[Unit]) -> list[Unit]:
    """Return ``units`` and, as units of their own, all other operators, each behind what it reads.

    Args:
        graph: The graph.
        units: Without an operator in two of them.

    Raises:
        ValueError: If an operator is in two units, or a unit reads what depends on its own result.
    """
    owner: dict[fx.Node, Unit] = {}
    for unit in units:
        for node in unit.nodes:
            if node in owner:
                msg = f"sweep: units must not share operators, got {node.name} in two"
                raise ValueError(msg)
            owner[node] = unit
    for node in graph.graph.nodes:
        if node.op == "call_function" and node not in owner:
            owner[node] = unit_of([node], is_single=True)
    return _sorted(graph, owner)


def _sorted(graph: QuantGraph, owner: dict[fx.Node, Unit]) -> list[Unit]:
    place = {node: index for index, node in enumerate(graph.graph.nodes)}
    units = dict.fromkeys(owner.values())
    waits = {unit: {owner[x] for x in unit.inputs if x.op == "call_function"} for unit in units}
    readers: dict[Unit, list[Unit]] = {unit: [] for unit in units}
    for unit, sources in waits.items():
        for source in sources:
            readers[source].append(unit)
    by_place = {place[unit.nodes[0]]: unit for unit in units}
    ready = [place[unit.nodes[0]] for unit in units if not waits[unit]]
    heapq.heapify(ready)
    order = []
    while ready:
        unit = by_place[heapq.heappop(ready)]
        order.append(unit)
        for reader in readers[unit]:
            waits[reader].discard(unit)
            if not waits[reader]:
                heapq.heappush(ready, place[reader.nodes[0]])
    if len(order) < len(units):
        stuck = min(
            (u for u in units if waits[u] and not u.is_single), key=lambda u: place[u.nodes[0]]
        )
        msg = f"sweep: a unit must not read what depends on it, got one from {stuck.nodes[0].name}"
        raise ValueError(msg)
    return order
