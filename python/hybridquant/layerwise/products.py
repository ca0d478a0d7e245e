"""Products with trained weights: convolutions and linear layers, and their matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from hybridquant.capture.graph import args_of, weight_of
from hybridquant.layerwise.units import num_readers, unquantized
from hybridquant.quant_graph import QuantEdge, QuantGraph

# Kinds whose inputs can be laid out as rows of a matrix.
MATRIX_KINDS = frozenset({"conv1d", "conv2d", "linear"})
_KINDS = MATRIX_KINDS | {"conv3d", "conv_transpose2d"}


@dataclass(frozen=True)
class Product:
    """An operator that multiplies with a trained weight.

    Args:
        node: The operator.
        kind: ``conv1d``, ``conv2d``, ``conv3d``, ``conv_transpose2d`` or ``linear``.
        groups: Of the channels, 1 for a linear layer.
        weight: Node of the weight parameter.
        weight_edge: How the weight is quantized, None in float.
        input_edge: How the input is quantized, None in float.
    """

    node: fx.Node
    kind: str
    groups: int
    weight: fx.Node
    weight_edge: QuantEdge | None
    input_edge: QuantEdge | None

    @property
    def name(self) -> str:
        """Where it is, for people: the module path, or the operator's name."""
        return str(self.node.meta["path"] or self.node.name)

    @property
    def channel_axis(self) -> int:
        """Axis of the output channels in what it computes."""
        return -1 if self.kind == "linear" else 1

    @property
    def is_depthwise(self) -> bool:
        """Whether each output channel reads a single input channel."""
        return self.groups > 1 and bool(self.groups == args_of(self.node)[0].meta["shape"][1])

    def rows(self, x: Tensor) -> Tensor:
        """Return what each output reads of ``x``, so that the product is that of two matrices.

        Args:
            x: Input. # [batch, channels, height, width], or [..., channels] of a linear layer

        Shape:
            [groups, positions, taps], taps as in ``matrix``.
        """
        if self.kind == "linear":
            return x.reshape(1, -1, x.shape[-1])
        stride, padding, dilation = args_of(self.node)[3:6]
        if self.kind == "conv1d":
            x = x.unsqueeze(2)
            stride, padding, dilation = [1, *stride], [0, *padding], [1, *dilation]
        height, width = (1, *self.weight.meta["shape"][2:])[-2:]
        # [batch, channels * taps, positions]
        taps = F.unfold(x, (height, width), dilation, padding, stride)
        split = taps.reshape(len(x), self.groups, -1, taps.shape[-1])
        return split.permute(1, 0, 3, 2).reshape(self.groups, -1, split.shape[2])

    def num_rows(self, x: Tensor) -> int:
        """Return how many rows ``rows`` makes of ``x``."""
        if self.kind == "linear":
            return x.numel() // x.shape[-1]
        positions: int = math.prod(self.node.meta["shape"][2:])
        return len(x) * positions

    def matrix(self, weight: Tensor) -> Tensor:
        """Return a weight as matrices.

        Shape:
            [groups, out_channels / groups, taps]
        """
        return weight.reshape(self.groups, len(weight) // self.groups, -1)


def products_of(graph: QuantGraph) -> list[Product]:
    """Return every product with a trained weight, in graph order."""
    edges = {(edge.edge.node, edge.edge.position): edge for edge in graph.quant_edges}
    found = []
    for node in graph.graph.nodes:
        if node.op != "call_function" or node.meta["kind"] not in _KINDS:
            continue
        weight = unquantized(args_of(node)[1])
        if weight.op != "get_attr":
            continue
        kind = node.meta["kind"]
        groups = 1 if kind == "linear" else args_of(node)[6]
        read = edges.get((node.name, 0)), edges.get((node.name, 1))
        found.append(Product(node, kind, groups, weight, read[1], read[0]))
    return found


def original_bias(graph: QuantGraph, product: Product) -> Tensor:
    """Return the bias of the float model [out_channels], zeros where the product has none."""
    arguments = args_of(product.node)
    node = arguments[2] if len(arguments) > 2 else None
    if node is not None:
        return graph.original(node)
    return torch.zeros(product.node.meta["shape"][product.channel_axis])


def present_bias(graph: QuantGraph, product: Product) -> Tensor:
    """Return the bias as it is now [out_channels], zeros where the product has none."""
    arguments = args_of(product.node)
    node = arguments[2] if len(arguments) > 2 else None
    return original_bias(graph, product) if node is None else weight_of(graph, node).detach()


def is_shared(graph: QuantGraph, product: Product) -> bool:
    """Tell whether another operator reads the weight too."""
    return num_readers(graph, product.weight) > 1


def set_bias(graph: QuantGraph, product: Product, bias: Tensor) -> None:
    """Give a product another bias, for the sake of quantization.

    Args:
        graph: The graph, changed in place; its original bias is kept for float runs.
        product: The product; it gets a parameter of its own where it has none.
        bias: float32 [out_channels].
    """
    graph.set_weight(own_bias(graph, product), bias)


def own_bias(graph: QuantGraph, product: Product) -> fx.Node:
    """Return the node of a bias that no other operator reads, made where there is none."""
    arguments = args_of(product.node)
    node = arguments[2] if len(arguments) > 2 else None
    if isinstance(node, fx.Node) and num_readers(graph, node) == 1:
        return node
    if not hasattr(graph, "biases"):
        graph.add_submodule("biases", nn.Module())
    value = original_bias(graph, product)
    made = nn.Parameter(value.clone(), requires_grad=False)
    graph.get_submodule("biases").register_parameter(product.node.name, made)
    with graph.graph.inserting_before(product.node):
        read = graph.graph.get_attr(f"biases.{product.node.name}")
    read.meta.update(product.weight.meta)
    read.meta.update(shape=tuple(value.shape), path=product.node.meta["path"])
    product.node.update_arg(2, read)
    graph.recompile()
    return read
