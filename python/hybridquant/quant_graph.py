"""QuantGraph: a FloatGraph whose operator inputs pass through fake-quant modules."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.fx import Node

from hybridquant.capture import FloatGraph
from hybridquant.capture.graph import args_of, weight_of
from hybridquant.capture.vocabulary import LAYOUT_KINDS
from hybridquant.quantizers import QUANTIZERS, FakeQuant
from hybridquant.types import Edge, Operand, QuantSpec

Resolve = Callable[[Sequence[Edge]], Sequence[QuantSpec | None]]

# Operators whose second input is a trained weight, and the axis of its output channels.
_WEIGHT_AXIS = {"conv1d": 0, "conv2d": 0, "conv3d": 0, "conv_transpose2d": 1, "linear": 0}
# Of these operators only the first inputs are edges: the others (bias, gamma, beta, running
# statistics) are parameters that an integer form folds into its accumulators.
_NUM_DATA_INPUTS = {
    **dict.fromkeys(_WEIGHT_AXIS, 2),
    **dict.fromkeys(("batch_norm", "group_norm", "layer_norm", "rms_norm"), 1),
}
_CHANNELS_FIRST_KINDS = frozenset({*_WEIGHT_AXIS, "batch_norm", "group_norm"} - {"linear"})
_CHANNELS_LAST_KINDS = frozenset({"layer_norm", "linear", "matmul", "rms_norm", "softmax"})


@dataclass(frozen=True)
class QuantEdge:
    """A quantized edge: which input of which operator, how, and by which module.

    Args:
        edge: The operator's input.
        spec: How it is quantized.
        channel_axis: Axis of per-channel scales; negative counts from the back.
        module: Name of the fake-quant module in the QuantGraph. Edges that read the same tensor in
            the same way share one.
    """

    edge: Edge
    spec: QuantSpec
    channel_axis: int
    module: str


class QuantGraph(FloatGraph):
    """A FloatGraph with fake-quant modules on its edges; an ordinary ``nn.Module``.

    Attributes:
        quant_edges: Every quantized edge, in graph order.
    """

    quant_edges: tuple[QuantEdge, ...] = ()

    def module_of(self, edge: QuantEdge) -> FakeQuant:
        """Return the fake-quant module of ``edge``."""
        return cast(FakeQuant, self.get_submodule(edge.module))

    def weight_name(self, edge: QuantEdge) -> str:
        """Return the name of the parameter that ``edge``, a weight edge, quantizes."""
        node = next(node for node in self.graph.nodes if node.target == edge.module)
        return str(node.args[0].target)

    def set_weight(self, node: Node, value: Tensor) -> None:
        """Change a parameter for the sake of quantization; ``original`` remembers what it was.

        Args:
            node: The ``get_attr`` node that reads it.
            value: Its new value, of the same shape.
        """
        parameter = weight_of(self, node)
        originals = self.__dict__.setdefault("_originals", {})
        originals.setdefault(str(node.target), parameter.detach().clone())
        with torch.no_grad():
            parameter.copy_(value)

    def original(self, node: Node) -> Tensor:
        """Return a parameter of the float model, before ``set_weight`` changed it."""
        kept: Tensor | None = self.__dict__.get("_originals", {}).get(str(node.target))
        return weight_of(self, node).detach() if kept is None else kept

    def rewrite_weight(self, node: Node, value: Tensor) -> None:
        """Change a parameter of the float model, as one of several that leave its function alone.

        Args:
            node: The ``get_attr`` node that reads it.
            value: Its new value, of the same shape.

        Raises:
            RuntimeError: If ``set_weight`` changed it before: what was rounded is not rewritten.
        """
        if str(node.target) in self.__dict__.get("_originals", {}):
            msg = (
                f"rewrite_weight: {node.target} must not have been rounded or corrected before; "
                "put the passes that rewrite weights first in the recipe"
            )
            raise RuntimeError(msg)
        with torch.no_grad():
            weight_of(self, node).copy_(value)

    @contextmanager
    def fake_quant_off(self) -> Iterator[None]:
        """Run in float inside the ``with`` block."""
        modules = {edge.module: self.module_of(edge) for edge in self.quant_edges}
        before = {name: module.enabled for name, module in modules.items()}
        try:
            for module in modules.values():
                module.enabled = False
            yield
        finally:
            for name, module in modules.items():
                module.enabled = before[name]


def find_edges(graph: FloatGraph) -> list[Edge]:
    """Return every edge of ``graph`` that could be quantized, in graph order.

    Operators that only move values (reshape, permute, ...) have none: quantizing before or after
    them is the same. Concatenation has: an integer model brings each of its inputs to one scale, in
    one rounding. In a QuantGraph the edge is the same, whether a fake-quant module sits on it or
    not.
    """
    edges = []
    for node in graph.graph.nodes:
        kind = node.meta["kind"]
        if node.op != "call_function" or kind in LAYOUT_KINDS:
            continue
        for position, producer in enumerate(_inputs(node)[: _NUM_DATA_INPUTS.get(kind)]):
            if isinstance(producer, Node) and producer.meta["dtype"] == "float32":
                is_weight = position == 1 and kind in _WEIGHT_AXIS and _is_parameter(producer)
                operand: Operand = "weight" if is_weight else "activation"
                path, is_product = node.meta["path"], reads_product(producer)
                made_by, marks = producer_kind(producer), marks_of(node)
                edge = Edge(node.name, position, kind, path, operand, is_product, made_by, marks)
                edges.append(edge)
    return edges


def reads_product(producer: Any) -> bool:
    """Tell whether a value is the sums of a matrix product, in an integer model as exact integers.

    They stay so when they are moved, multiplied by a positive number, or a number is added.
    """
    while isinstance(producer, Node):
        kind, arguments = producer.meta["kind"], args_of(producer)
        if kind == "matmul":
            return True
        number = arguments[1] if kind in ("add", "mul") else None
        is_number = isinstance(number, int | float) and (kind == "add" or number > 0)
        if not (is_number or producer.op == "call_module" or kind in LAYOUT_KINDS):
            return False
        producer = arguments[0]
    return False


def producer_kind(producer: Node) -> str:
    """Return the kind of the operator that made a value, moves and fake-quantization aside."""
    while producer.op == "call_module" or producer.meta["kind"] in LAYOUT_KINDS:
        producer = args_of(producer)[0]
    return str(producer.meta["kind"])


def marks_of(node: Node) -> frozenset[str]:
    """Return the selectors of recipes that hold for an operator by itself."""
    marks = set()
    if node.meta["kind"] in ("conv1d", "conv2d", "conv3d"):
        groups, channels = args_of(node)[6], args_of(node)[0].meta["shape"][1]
        if groups == channels > 1:
            marks.add("@depthwise")
    if node.meta["bridge"] is not None:
        marks.add("@bridge")
    return frozenset(marks)


def prepare(graph: FloatGraph, resolve: Resolve) -> QuantGraph:
    """Return a copy of ``graph`` with fake-quant modules on the edges that ``resolve`` chooses.

    The modules hold no ranges yet: running the result before a pass such as ``observe`` has set
    them is an error that says so. Costs a copy of the parameters and no pass over data.

    Args:
        graph: The captured model; not changed.
        resolve: Maps all edges to a QuantSpec each, or to None for an edge that stays in float.

    Raises:
        ValueError: If ``resolve`` does not return an entry for each edge, leaves every edge in
            float, or wants one scale a channel where the number of channels is not fixed.
    """
    copy = deepcopy(graph)
    quantized = QuantGraph(copy, copy.graph, "QuantGraph")
    edges = find_edges(quantized)
    nodes = {node.name: node for node in quantized.graph.nodes}
    shared: dict[tuple[Node, QuantSpec, int], Node] = {}
    quant_edges = []
    for edge, spec in zip(edges, _resolved(edges, resolve), strict=True):
        if spec is None:
            continue
        consumer = nodes[edge.node]
        producer = cast(Node, _inputs(consumer)[edge.position])
        spec, axis = _placed(spec, edge, producer)
        key = (producer, spec, axis)
        if key not in shared:
            shared[key] = _insert(quantized, edge, producer, spec, axis)
        _set_input(consumer, edge.position, shared[key])
        quant_edges.append(QuantEdge(edge, spec, axis, str(shared[key].target)))
    if not quant_edges:
        msg = f"prepare: resolve must quantize at least one of {len(edges)} edges, got none"
        raise ValueError(msg)
    quantized.quant_edges = tuple(quant_edges)
    quantized.recompile()
    return quantized.eval()


def _resolved(edges: Sequence[Edge], resolve: Resolve) -> Sequence[QuantSpec | None]:
    specs = resolve(edges)
    if len(specs) != len(edges):
        msg = (
            f"prepare: resolve must return one QuantSpec or None for each of {len(edges)} edges, "
            f"got {len(specs)}"
        )
        raise ValueError(msg)
    return specs


def _inputs(node: Node) -> list[Any]:
    """Return the arguments of an operator; those that stand in a list (``cat``) one by one."""
    first, *rest = args_of(node)
    return [*first, *rest] if isinstance(first, list) else [first, *rest]


def _set_input(node: Node, position: int, producer: Node) -> None:
    first, *rest = args_of(node)
    if isinstance(first, list):
        node.args = ([*first[:position], producer, *first[position + 1 :]], *rest)
    else:
        node.update_arg(position, producer)


def _insert(graph: QuantGraph, edge: Edge, producer: Node, spec: QuantSpec, axis: int) -> Node:
    """Put a new fake-quant module behind ``producer`` and return its node."""
    channels = producer.meta["shape"][axis] if spec.granularity == "channel" else 1
    if channels < 1:
        msg = (
            f"prepare: edge {edge.node}[{edge.position}] of {edge.path} must have a fixed number "
            f"of channels on axis {axis} for granularity 'channel', got shape "
            f"{producer.meta['shape']}"
        )
        raise ValueError(msg)
    name = _free_name(graph, edge)
    graph.add_submodule(name, QUANTIZERS[spec.quantizer].from_spec(spec, axis, channels))
    with graph.graph.inserting_after(producer):
        node = graph.graph.call_module(name, (producer,))
    node.meta.update(producer.meta)
    node.meta.update(kind="fake_quant", path=edge.path)
    return node


def _free_name(graph: FloatGraph, edge: Edge) -> str:
    """Return a module name that tells where the edge is, e.g. ``fake_quant.stem.conv.weight``.

    A model may have a module called ``weight`` too, whose fake-quant modules come below that name.
    """
    stem = ".".join(filter(None, ("fake_quant", edge.path, edge.operand)))
    taken = [f"fake_quant.{node.meta['path']}." for node in graph.graph.nodes]
    taken += [f"{name}." for name, _ in graph.named_modules()]
    names = itertools.chain([stem], (f"{stem}_{number}" for number in itertools.count(2)))
    return next(name for name in names if not any(t.startswith(f"{name}.") for t in taken))


def _placed(spec: QuantSpec, edge: Edge, producer: Node) -> tuple[QuantSpec, int]:
    """Return the spec with a granularity of tensor or channel, and the axis of the channels."""
    if spec.granularity != "head":
        return spec, _channel_axis(edge, producer)
    has_heads = edge.kind == "matmul" and len(producer.meta["shape"]) == 4
    return replace(spec, granularity="channel" if has_heads else "tensor"), 1


def _channel_axis(edge: Edge, producer: Node) -> int:
    """Return the axis whose entries may have a scale each: outputs of a weight, else channels."""
    if edge.operand == "weight":
        return _WEIGHT_AXIS[edge.kind]
    if edge.kind in _CHANNELS_FIRST_KINDS:
        return 1
    is_image = len(producer.meta["shape"]) == 4 and edge.kind not in _CHANNELS_LAST_KINDS
    return 1 if is_image else -1


def _is_parameter(producer: Node) -> bool:
    source = producer.args[0] if producer.op == "call_module" else producer
    return isinstance(source, Node) and source.op == "get_attr"
