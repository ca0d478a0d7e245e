"""Blocks of operators that are reconstructed together: cuts between residual joins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile

from torch import fx

from hybridquant.capture import FloatGraph
from hybridquant.capture.blocks import WEIGHTED_KINDS
from hybridquant.layerwise.units import Unit, operators_read, readers_of, unit_of

# Where branches meet in one value.
_JOINS = frozenset({"add", "sub", "cat"})


def block_units(graph: FloatGraph) -> list[Unit]:
    """Return all operators of ``graph`` in units that end where a single value goes on.

    A model is a chain of stretches between which only one value is alive: single operators, and
    branches up to the operator that joins them. A join is cut from what follows, unless both belong
    to one module (a post-norm, the second residual of a transformer block); operators without
    branches go together by block. No branch is cut, with two exceptions: a branch around which its
    own input is carried to a concatenation, where the branch has joins itself (MobileViT), and
    branches that run side by side through several blocks, which become a unit a block with several
    outputs (Mobile-Former, CoaT).

    Every unit is a stretch in graph order, hence none reads what depends on it.

    Args:
        graph: A captured model; its nodes' ``block`` and ``path`` are used.

    Source:
        BRECQ, arXiv:2102.05426: the residual block as the unit. The rest is chosen.
    """
    nodes = [node for node in graph.graph.nodes if node.op == "call_function"]
    segments = _segments(nodes)
    small = _small_blocks(nodes)
    keys = [_key(segments, position, small) for position in range(len(segments))]
    runs = groupby(zip(keys, segments, strict=True), key=lambda pair: pair[0])
    return [unit_of(node for _, segment in run for node in segment.nodes) for _, run in runs]


def unit_name(unit: Unit) -> str:
    """Return where a unit is, for people: the module path that its operators share."""
    paths = [n.meta["path"].split(".") for n in unit.nodes if n.meta["kind"] in WEIGHTED_KINDS]
    columns = zip(*(paths or [unit.nodes[-1].meta["path"].split(".")]), strict=False)
    shared = ".".join(column[0] for column in takewhile(lambda c: len(set(c)) == 1, columns))
    return shared or ", ".join(dict.fromkeys(path[0] for path in paths)) or unit.nodes[-1].name


@dataclass(frozen=True)
class _Segment:
    """Operators in graph order behind which one value is alive.

    Args:
        nodes: The operators; the last one makes that value.
        key: Name of the unit, where that is known already.
    """

    nodes: tuple[fx.Node, ...]
    key: str = ""

    @property
    def is_join(self) -> bool:
        return len(self.nodes) > 1 and self.nodes[-1].meta["kind"] in _JOINS

    @property
    def home(self) -> str:
        """The module whose ``forward`` ends the stretch."""
        return str(self.nodes[-1].meta["path"])

    def is_inside(self, home: str) -> bool:
        paths = [node.meta["path"] for node in self.nodes]
        return all(path == home or (home and path.startswith(f"{home}.")) for path in paths)


def _segments(nodes: Sequence[fx.Node]) -> list[_Segment]:
    """Return ``nodes``, a stretch of a graph, cut wherever a single value is alive."""
    segments, start = [], 0
    alive = _alive(nodes)
    for position in range(len(nodes)):
        if alive[position] <= 1 or position == len(nodes) - 1:
            segments += _opened(_Segment(tuple(nodes[start : position + 1])))
            start = position + 1
    return segments


def _alive(nodes: Sequence[fx.Node]) -> list[int]:
    """Return how many values are made up to each node, or before, and read behind it.

    Values that do not depend on images do not count.
    """
    place = {node: position for position, node in enumerate(nodes)}
    values = dict.fromkeys(x for node in nodes for x in (*operators_read(node), node))
    alive = [0] * len(nodes)
    constants: set[fx.Node] = set()
    for value in values:
        sources = operators_read(value)
        if value.op == "call_function" and all(source in constants for source in sources):
            constants.add(value)
            continue
        last = max((place.get(reader, -1) for reader in readers_of(value)), default=-1)
        for position in range(place.get(value, 0), last):
            alive[position] += 1
    return alive


def _opened(segment: _Segment) -> list[_Segment]:
    """Return the parts of a segment that is more than one residual branch, or the segment."""
    *branch, join = segment.nodes
    inputs = set(segment.nodes)
    entries = {x for node in segment.nodes for x in operators_read(node) if x not in inputs}
    if join.meta["kind"] == "cat" and entries & set(operators_read(join)):
        parts = _segments(branch)
        if any(part.is_join for part in parts):
            return [*parts, _Segment((join,), join.meta["path"])]
    blocks = {n.meta["block"] for n in branch if n.meta["kind"] in WEIGHTED_KINDS} - {None}
    if len(blocks) < 2:
        return [segment]
    return _by_block(segment.nodes)


def _by_block(nodes: Sequence[fx.Node]) -> list[_Segment]:
    """Return a segment a block; what is in none belongs to what stands before it."""
    runs: list[tuple[str, list[fx.Node]]] = []
    for node in nodes:
        is_own = node.meta["kind"] in WEIGHTED_KINDS or node.meta["block"] is not None
        key = _block_of(node) if is_own or not runs else runs[-1][0]
        if runs and runs[-1][0] == key:
            runs[-1][1].append(node)
        else:
            runs.append((key, [node]))
    return [_Segment(tuple(run), key) for key, run in runs]


def _key(segments: Sequence[_Segment], position: int, small: frozenset[str]) -> str:
    """Return what the segments of one unit have in common, and their neighbours have not.

    Args:
        segments: Of the whole graph, in order.
        position: Which of them.
        small: Blocks that are too small for a unit of their own.
    """
    segment = segments[position]
    if segment.key:
        return segment.key
    if segment.is_join:
        return _join_key(segments, position)
    around = (segments[position - 1 :: -1] if position else ()), segments[position + 1 :]
    for direction, side in zip((-1, 1), around, strict=True):
        for distance, other in enumerate(side, start=1):
            if other.is_join or other.key:
                place = position + direction * distance
                if segment.is_inside(other.home):
                    return other.key or _join_key(segments, place)
                break
    block = _block_of(segment.nodes[-1])
    return block.rpartition(".")[0] or block if block in small else block


def _small_blocks(nodes: Sequence[fx.Node]) -> frozenset[str]:
    """Return the blocks with at most one product, such as the entries of a stem."""
    blocks = {str(node.meta["block"]) for node in nodes if node.meta["block"] is not None}
    products = Counter(str(n.meta["block"]) for n in nodes if n.meta["kind"] in WEIGHTED_KINDS)
    return frozenset(block for block in blocks if products[block] <= 1)


def _join_key(segments: Sequence[_Segment], position: int) -> str:
    """Return the key of a join: its module's path, shared only inside a block."""
    home, block = segments[position].home, segments[position].nodes[-1].meta["block"]
    is_in_block = block is not None and (home == block or home.startswith(f"{block}."))
    return home if is_in_block else f"{home}#{position}"


def _block_of(node: fx.Node) -> str:
    """Return the node's block, or the outermost module it is in."""
    return str(node.meta["block"] or node.meta["path"].partition(".")[0])
