"""How far the channels of a group should be rescaled: factors, tried on some images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from hybridquant.layerwise.channels import ChannelGroup, Reader
from hybridquant.layerwise.ranges import as_quantized
from hybridquant.layerwise.rescale import columns, largest_read
from hybridquant.layerwise.units import readers_of
from hybridquant.quant_graph import QuantEdge, QuantGraph

_SMALLEST = 1e-5


@dataclass
class Seen:
    """What a graph computes in float on some images; kept true while channels are rescaled.

    Args:
        inputs: What products read.
        outputs: What the producers of channels make.
    """

    inputs: dict[fx.Node, Tensor]
    outputs: dict[fx.Node, Tensor]

    def rescale(self, group: ChannelGroup, divisor: Tensor) -> None:
        """Divide the channels of a group, of the values that are kept."""
        for reader in group.readers:
            x = self.inputs[reader.product.node]
            self.inputs[reader.product.node] = x / _by_input(reader, divisor, x)
        y = self.outputs[group.producer]
        sizes = [-1 if i == _output_axis(group, y) else 1 for i in range(y.ndim)]
        self.outputs[group.producer] = y / torch.where(group.is_legal, divisor, 1.0).reshape(sizes)


class Trial:
    """Tries factors on one group of channels.

    What is lost is the squared error of the readers' outputs with both their operands quantized,
    relative to their energy. To it comes what is lost where the channels are first read, as by a
    matrix product of attention: the error of each channel there, weighted by the share of the
    readers' outputs that it makes.

    Args:
        graph: The graph.
        group: The channels.
        seen: What it computes.
    """

    def __init__(self, graph: QuantGraph, group: ChannelGroup, seen: Seen) -> None:
        self._group = group
        self._readers = [
            (reader, seen.inputs[reader.product.node], graph.original(reader.product.weight))
            for reader in group.readers
        ]
        self._exact = [_product(reader, x, weight) for reader, x, weight in self._readers]
        y = seen.outputs[group.producer]
        self._made = y.movedim(_output_axis(group, y), 0).flatten(1)[group.is_legal]
        self._largest_w = largest_read(graph, group)
        self._first_edge = _first_edge(graph, group)
        self._shares = self._contributions() if self._first_edge is not None else None

    def best(self, strengths: Sequence[float], undo: Tensor | None = None) -> Tensor:
        """Return the divisors that lose least; with a single strength, those of it.

        Args:
            strengths: Candidates.
            undo: Divisors that leave the channels as they were at first, one more candidate.
        """
        candidates = [self.divisor(strength) for strength in strengths]
        if len(candidates) == 1:
            return candidates[0]
        if undo is not None:
            candidates.insert(0, undo)
        errors = [self.error(divisor) for divisor in candidates]
        return candidates[errors.index(min(errors))]

    def divisor(self, strength: float) -> Tensor:
        """Return the factors of one strength, whose geometric mean is 1, [channels]."""
        is_legal, largest_w = self._group.is_legal, self._largest_w
        largest_x = torch.zeros(len(is_legal))
        largest_x[is_legal] = self._made.abs().amax(1)
        spread = largest_x.clamp(min=_SMALLEST) ** strength
        divisor = (spread / largest_w.clamp(min=_SMALLEST) ** (1 - strength)).clamp(min=_SMALLEST)
        # A dead channel, or one that nobody uses, says nothing.
        divisor = torch.where(is_legal & (largest_x > 0) & (largest_w > 0), divisor, torch.nan)
        return (divisor / divisor.log().nanmean().exp()).nan_to_num(nan=1.0)

    def error(self, divisor: Tensor) -> float:
        """Return what is lost with these divisors."""
        total = 0.0
        for (reader, x, weight), exact in zip(self._readers, self._exact, strict=True):
            product = reader.product
            x = as_quantized(product.input_edge, x / _by_input(reader, divisor, x))
            weight = as_quantized(product.weight_edge, weight * columns(reader, divisor))
            energy = float(exact.double().square().sum())
            error = float((_product(reader, x, weight) - exact).double().square().sum())
            total += error / energy if energy > 0 else error
        return total + self._lost_at_first(divisor)

    def _lost_at_first(self, divisor: Tensor) -> float:
        if self._first_edge is None or self._shares is None:
            return 0.0
        made = self._made / divisor[self._group.is_legal].unsqueeze(1)
        lost = (as_quantized(self._first_edge, made) - made).double().square().sum(1)
        energy = made.double().square().sum(1)
        return float((torch.where(energy > 0, lost / energy, 0.0) * self._shares).sum())

    def _contributions(self) -> Tensor:
        """Return the energy that each legal channel gives the readers, relative to theirs."""
        shares = torch.zeros(len(self._group.is_legal), dtype=torch.float64)
        for (reader, x, weight), exact in zip(self._readers, self._exact, strict=True):
            groups, read = reader.product.groups, reader.channels >= 0
            split = weight.double().reshape(groups, len(weight) // groups, weight.shape[1], -1)
            gain = split.square().sum((1, 3)).flatten()
            axis = _input_axis(reader, x)
            power = x.movedim(axis, 0).flatten(1).double().square().mean(1)
            values = exact.double().square().sum() / (exact.numel() / len(weight))
            found = power * gain / values.clamp(min=1e-30)
            shares.scatter_add_(0, reader.channels[read], found[read])
        return shares[self._group.is_legal]


def _first_edge(graph: QuantGraph, group: ChannelGroup) -> QuantEdge | None:
    """Return how the channels are read first, where that is not by those who end the group."""
    ends = {reader.product.node.name for reader in group.readers if reader.is_only_moved}
    following, seen = [group.producer], {group.producer}
    edges = {edge.edge.node: edge for edge in graph.quant_edges if edge.edge.operand != "weight"}
    while following:
        for node in readers_of(following.pop(0)):
            edge = edges.get(node.name)
            if edge is not None and node.name not in ends and edge.spec.granularity == "tensor":
                return edge
            if node.op == "call_function" and node not in seen and edge is None:
                seen.add(node)
                following.append(node)
    return None


def _product(reader: Reader, x: Tensor, weight: Tensor) -> Tensor:
    node = reader.product.node
    result: Tensor = node.target(x, weight, None, *node.args[3:])  # type: ignore[operator]
    return result


def _by_input(reader: Reader, divisor: Tensor, x: Tensor) -> Tensor:
    """Return the divisor of each channel of a reader's input, to divide it by."""
    per_input = torch.where(reader.channels >= 0, divisor[reader.channels.clamp(min=0)], 1.0)
    axis = _input_axis(reader, x)
    return per_input.reshape([-1 if i == axis else 1 for i in range(x.ndim)])


def _input_axis(reader: Reader, x: Tensor) -> int:
    return x.ndim - 1 if reader.product.kind == "linear" else 1


def _output_axis(group: ChannelGroup, y: Tensor) -> int:
    is_last = group.producer.meta["kind"] in ("linear", "layer_norm", "rms_norm")
    return y.ndim - 1 if is_last else 1
