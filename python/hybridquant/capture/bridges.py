"""Bridges: where a model goes from the local domain (images) to the token domain, or back.

Source: Q-HyViT, arXiv 2303.12557: a bridge block holds the layers that convert between local
(convolution, 4-D) and global (token, 3-D) representations. Which layers those are is our reading of
its lists (docs/operators.md): the convolution before the unfold or flatten, and the first
weighted operators of the attention after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from torch import fx

from hybridquant.capture.blocks import WEIGHTED_KINDS
from hybridquant.capture.graph import FloatGraph, args_of
from hybridquant.capture.layouts import Domain, domain, find_layouts


@dataclass(frozen=True)
class Bridge:
    """A stretch of operators between the two domains.

    Args:
        index: Place among the graph's bridges, from 0.
        direction: ``to_tokens`` or ``to_local``.
        entry: Name of its first operator: the last one with weights (or matmul) before the change.
        exits: Names of its last operators: the first ones with weights after it, in graph order.
        nodes: Names of all its operators from entry to exits, in graph order.
        modules: Module paths of those with weights, in graph order.
    """

    index: int
    direction: Literal["to_tokens", "to_local"]
    entry: str
    exits: tuple[str, ...]
    nodes: tuple[str, ...]
    modules: tuple[str, ...]


def find_bridges(graph: FloatGraph) -> list[Bridge]:
    """Return the bridges of ``graph``, in graph order.

    Only reshapes and permutes that mix the image's rows and columns count, never names. Where
    several blocks in a row go to tokens and back, the first change to tokens and the last change
    back are bridges, and the first after every change of resolution.

    Args:
        graph: A captured model; its nodes' ``block`` is used.
    """
    finder = _Finder(graph.graph)
    stretches = [*finder.to_tokens(), *finder.to_local()]
    stretches.sort(key=lambda stretch: finder.place[stretch.entry])
    bridges = []
    for index, stretch in enumerate(stretches):
        nodes = finder.between(stretch.entry, stretch.exits)
        paths = [n.meta["path"] for n in nodes if n.meta["kind"] in WEIGHTED_KINDS]
        exits = sorted(stretch.exits, key=lambda n: finder.place[n])
        bridges.append(
            Bridge(
                index,
                stretch.direction,
                stretch.entry.name,
                tuple(node.name for node in exits),
                tuple(node.name for node in nodes),
                tuple(dict.fromkeys(paths)),
            )
        )
    return bridges


@dataclass(frozen=True)
class _Stretch:
    direction: Literal["to_tokens", "to_local"]
    entry: fx.Node
    exits: tuple[fx.Node, ...]


class _Finder:
    """The graph's products (weighted operators and matmuls) and the domain each works in."""

    def __init__(self, graph: fx.Graph) -> None:
        layouts = find_layouts(graph)
        self._domains: dict[fx.Node, Domain] = {n: domain(axes) for n, axes in layouts.items()}
        self._grids = {n: _grid(layouts[n]) for n in layouts}
        nodes = [node for node in graph.nodes if node.op == "call_function"]
        self.place = {node: place for place, node in enumerate(graph.nodes)}
        self._products = [
            n for n in nodes if n.meta["kind"] in WEIGHTED_KINDS or n.meta["kind"] == "matmul"
        ]
        self._nearest: dict[fx.Node, fx.Node | None] = {}
        for node in graph.nodes:
            self._nearest[node] = self._find_nearest(node)
        self._units = list(dict.fromkeys(_unit(node) for node in self._products))
        on_tokens = {_unit(node) for node in self._products if self._on_tokens(node)}
        convolving = {_unit(n) for n in self._products if _is_conv(n) and self._is_local(n)}
        self._local_units = convolving - on_tokens

    def _find_nearest(self, node: fx.Node) -> fx.Node | None:
        """Return the last product whose result reaches ``node``'s result unweighted, or itself."""
        if node.op == "call_function" and node.meta["kind"] in (*WEIGHTED_KINDS, "matmul"):
            return node
        found = [self._nearest[n] for n in node.all_input_nodes if self._nearest[n] is not None]
        return max(found, key=lambda n: self.place[n], default=None)

    def _on_tokens(self, node: fx.Node) -> bool:
        """Say whether a product reads tokens; a classifier over a flattened image sums them up."""
        if node.meta["kind"] in WEIGHTED_KINDS and self._domains.get(node) != "token":
            return False
        return any(self._domains.get(n) == "token" for n in _data(node))

    def _is_local(self, node: fx.Node | None) -> bool:
        return node is not None and self._domains.get(node) == "local"

    def to_tokens(self) -> Iterator[_Stretch]:
        """Yield each stretch from the last local product to the first products on tokens."""
        seen: set[str] = set()
        entries: list[fx.Node] = []
        for node in self._products:
            unit = _unit(node)
            sources = (self._nearest[n] for n in _data(node)) if self._on_tokens(node) else ()
            local = [source for source in sources if source is not None and self._is_local(source)]
            if unit in seen or not local:
                continue
            seen.add(unit)
            stretch = self._into(node, local)
            if stretch is not None and self._is_counted(stretch.entry, unit, entries):
                entries.append(stretch.entry)
                yield stretch

    def _into(self, first: fx.Node, sources: list[fx.Node]) -> _Stretch | None:
        """Return the stretch whose first operator on tokens is ``first``."""
        if first.meta["kind"] in WEIGHTED_KINDS:
            return _Stretch("to_tokens", sources[0], self._siblings(first, sources[0]))
        projections = self._projections(first)
        home = _common_path([first, *projections])
        entry: fx.Node | None = projections[0]
        while entry is not None and (entry in projections or _is_inside(entry, home)):
            entry = self._nearest[args_of(entry)[0]]
        if entry is None or not self._is_local(entry):
            return None
        return _Stretch("to_tokens", entry, tuple(projections))

    def _siblings(self, first: fx.Node, source: fx.Node) -> tuple[fx.Node, ...]:
        """Return ``first`` and what its parent module holds that reads ``source`` too."""
        home = _parent(first)
        return tuple(
            node
            for node in self._products
            if node.meta["kind"] in WEIGHTED_KINDS
            and self._on_tokens(node)
            and self._nearest[args_of(node)[0]] is source
            and (_is_inside(node, home) or _parent(node) == home)
        )

    def _projections(self, first: fx.Node) -> list[fx.Node]:
        """Return the local operators that feed ``first`` and the matmuls of the same attention."""
        feeds = dict.fromkeys(
            feed for operand in _data(first) for feed in self._local_feeds(operand)
        )
        home = _common_path([first, *feeds])
        for node in self._products[self._products.index(first) :]:
            if node.meta["kind"] == "matmul" and _is_inside(node, home) and self._on_tokens(node):
                for operand in _data(node):
                    feeds.update(dict.fromkeys(self._local_feeds(operand)))
        return sorted(feeds, key=lambda n: self.place[n])

    def _local_feeds(self, node: fx.Node) -> Iterator[fx.Node]:
        """Yield the local products that ``node`` is made from without another product between."""
        stack, seen = [node], {node}
        while stack:
            current = stack.pop()
            if self._nearest[current] is current:
                if self._is_local(current):
                    yield current
                continue
            new = [n for n in current.all_input_nodes if n not in seen]
            seen.update(new)
            stack.extend(new)

    def _is_counted(self, entry: fx.Node, unit: str, entries: list[fx.Node]) -> bool:
        """Say whether the change follows a local block, or is the first at its resolution."""
        if not entries:
            return True
        before = _unit(entry)
        if before == unit:
            before = self._units[max(0, self._units.index(unit) - 1)]
        is_finer = self._grids[entries[-1]] != self._grids[entry]
        return before in self._local_units or (is_finer and _is_conv(entry))

    def to_local(self) -> Iterator[_Stretch]:
        """Yield each stretch from the last product on tokens to the first local one."""
        last: dict[str, _Stretch] = {}
        for node in self._products:
            source = self._nearest[args_of(node)[0]]
            if node.meta["kind"] not in WEIGHTED_KINDS or source is None or self._on_tokens(node):
                continue
            if self._is_local(args_of(node)[0]) and self._domains.get(source) == "token":
                last[_unit(node)] = _Stretch("to_local", source, (node,))
        for unit, stretch in last.items():
            following = self._units[self._units.index(unit) + 1 :][:1]
            if self._local_units.intersection([unit, *following]):
                yield stretch

    def between(self, entry: fx.Node, exits: Iterable[fx.Node]) -> list[fx.Node]:
        """Return the nodes on all paths from ``entry`` to ``exits``, both included."""
        start = self.place[entry]
        reached = {entry}
        for node in sorted(self.place, key=lambda n: self.place[n])[start:]:
            if any(n in reached for n in node.all_input_nodes):
                reached.add(node)
        stack, inside = [n for n in exits if n in reached], {entry}
        while stack:
            node = stack.pop()
            if node not in inside:
                inside.add(node)
                stack.extend(n for n in node.all_input_nodes if n in reached)
        return sorted(inside, key=lambda n: self.place[n])


def _grid(axes: tuple[tuple[tuple[str, int, int], ...], ...]) -> tuple[int, ...]:
    """Return the sizes of the axes that hold rows or columns."""
    return tuple(atom[2] for axis in axes for atom in axis if atom[0][0] in "hw")


def _data(node: fx.Node) -> list[fx.Node]:
    """Return a product's operands without its trained weights."""
    count = 2 if node.meta["kind"] == "matmul" else 1
    return [n for n in args_of(node)[:count] if isinstance(n, fx.Node) and n.op != "get_attr"]


def _is_conv(node: fx.Node) -> bool:
    return bool(node.meta["kind"] == "conv2d")


def _unit(node: fx.Node) -> str:
    """Return the node's block, or the outermost module it is in."""
    return str(node.meta["block"] or node.meta["path"].partition(".")[0])


def _parent(node: fx.Node) -> str:
    return str(node.meta["path"].rpartition(".")[0])


def _common_path(nodes: list[fx.Node]) -> str:
    columns = zip(*(node.meta["path"].split(".") for node in nodes), strict=False)
    return ".".join(column[0] for column in takewhile(lambda c: len(set(c)) == 1, columns))


def _is_inside(node: fx.Node, home: str) -> bool:
    path = node.meta["path"]
    return bool(home) and (path == home or path.startswith(f"{home}."))
