"""Operators that multiply two operands: with a trained weight, or two activations."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, fx

from hybridquant.capture.graph import args_of
from hybridquant.layerwise.units import operators_read
from hybridquant.quant_graph import QuantEdge, QuantGraph

_CONVOLUTIONS = frozenset({"conv1d", "conv2d", "conv3d", "conv_transpose2d"})
_KINDS = _CONVOLUTIONS | {"linear", "matmul"}


@dataclass(frozen=True)
class Multiplication:
    """An operator that multiplies: a convolution, a linear layer or a matrix product.

    Args:
        node: The operator.
        kind: Its kind.
        edges: How its two operands are quantized, None in float. A weight is the second.
    """

    node: fx.Node
    kind: str
    edges: tuple[QuantEdge | None, QuantEdge | None]

    def compute(self, left: Tensor, right: Tensor, bias: Tensor | None) -> Tensor:
        """Return the operator's result for other operands, which may hold fewer images."""
        rest = args_of(self.node)[2:]
        arguments = (left, right) if not rest else (left, right, bias, *rest[1:])
        result: Tensor = self.node.target(*arguments)  # type: ignore[operator]
        return result

    @property
    def rows_axis(self) -> int:
        """Axis along which its result holds the sums of one position: channels or columns."""
        return 1 if self.kind in _CONVOLUTIONS else -1

    def result_axis(self, position: int) -> int | None:
        """Return the axis of the result whose slices need one scale of an operand each.

        None where every result needs all scales of the operand, or there is but one.

        Args:
            position: Of the operand, 0 or 1.
        """
        edge = self.edges[position]
        if edge is None or edge.spec.granularity != "channel":
            return None
        if self.kind == "matmul":
            return self._matmul_axis(position, edge.channel_axis)
        if position == 1:
            is_grouped = self.kind == "conv_transpose2d" and args_of(self.node)[6] != 1
            return None if is_grouped else self.rows_axis
        # An input channel of a depthwise convolution makes one output channel.
        channels = args_of(self.node)[0].meta["shape"][1]
        is_own = self.kind in _CONVOLUTIONS and args_of(self.node)[6] == channels
        return 1 if is_own and self.node.meta["shape"][1] == channels else None

    def _matmul_axis(self, position: int, axis: int) -> int | None:
        shapes = [args_of(self.node)[i].meta["shape"] for i in (0, 1)]
        rank = len(self.node.meta["shape"])
        if any(len(shape) != rank for shape in shapes):
            return None
        axis %= rank
        if axis == rank - 1:
            return -1 if position == 1 else None
        if axis == rank - 2:
            return axis if position == 0 else None
        is_shared = shapes[0][axis] == shapes[1][axis]
        return axis if is_shared else None


def multiplications_of(graph: QuantGraph) -> list[Multiplication]:
    """Return the operators that multiply and have a quantized operand, in graph order."""
    edges = {(edge.edge.node, edge.edge.position): edge for edge in graph.quant_edges}
    found = []
    for node in graph.graph.nodes:
        if node.op != "call_function" or node.meta["kind"] not in _KINDS:
            continue
        read = edges.get((node.name, 0)), edges.get((node.name, 1))
        if read != (None, None):
            found.append(Multiplication(node, node.meta["kind"], read))
    return found


def siblings_of(graph: QuantGraph) -> list[list[Multiplication]]:
    """Return the operators that multiply, those that share a fake-quant module together.

    Operators that read the same tensor in the same way have one scale for it, which is to be good
    for all of them. They are kept apart, and the first decides, where one of them reads what is
    computed after another.
    """
    place = {node: index for index, node in enumerate(graph.graph.nodes)}
    groups: list[list[Multiplication]] = []
    of_module: dict[str, list[Multiplication]] = {}
    for operator in multiplications_of(graph):
        modules = [edge.module for edge in operator.edges if edge is not None]
        group = next((of_module[name] for name in modules if name in of_module), None)
        if group is None or _last_read(operator.node, place) > place[group[0].node]:
            group = []
            groups.append(group)
        group.append(operator)
        for name in modules:
            of_module.setdefault(name, group)
    return groups


def _last_read(node: fx.Node, place: dict[fx.Node, int]) -> int:
    """Return the place of the last operator that ``node`` reads, fake-quantization aside."""
    sources = operators_read(node)
    return max((place[source] for source in sources if source.op == "call_function"), default=-1)
