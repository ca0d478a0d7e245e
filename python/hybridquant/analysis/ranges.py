"""What each fake-quant module reads, channel by channel, beside the range it has chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridquant.analysis.replay import Replay
from hybridquant.calibration import Calibration
from hybridquant.capture.attention_masks import is_masked
from hybridquant.capture.graph import args_of
from hybridquant.progress import track
from hybridquant.quant_graph import QuantEdge, QuantGraph

# Beyond every range, and still a number after it was divided by the smallest scale in use.
_FAR = 1e30
# Half a step is rounding, not clipping; the rest is for float32.
_ROUNDING = 0.5 + 1e-3
# As the pass observe has it: masked logits count as this much below the largest of their row.
_FAR_BELOW = 16.0


@dataclass(frozen=True)
class ChannelRanges:
    """The values of one tensor that operators read quantized, and the range chosen for it.

    A channel's own range is what a scale of its own would have to cover: from its smallest to its
    largest value, widened to hold zero where the recipe does so, and as much on both sides where
    codes are symmetric. Channels that are always zero, or constant, have none.

    Args:
        nodes: Operators that read it.
        kind: Of the first of these.
        path: Module path of the first of these.
        operand: ``weight`` or ``activation``.
        producer: Kind of the operator that made it; ``input`` for the image.
        bits: Of a code.
        quantizer: Name in ``hybridquant.quantizers``.
        low: Lower end of the chosen range; of the widest channel where each has its own; None
            where codes stand for no range.
        high: Upper end; None as ``low``.
        minimum: Smallest value of each channel.
        maximum: Largest value of each channel.
        largest_to_median: Largest own range of a channel over the median; None without ranges.
        outside: Share of values that are clipped, further than half a step outside; None where
            codes stand for no range.
        bits_lost: Bits that the channel with the smallest own range has fewer than ``bits``, for
            codes that its values never use; None where codes are not evenly spaced.
        median_bits_lost: The same of the median channel.
        worst_channel: Number of the channel with the smallest own range.
        empty_channels: Number of channels without a range.
    """

    nodes: tuple[str, ...]
    kind: str
    path: str
    operand: str
    producer: str
    bits: int
    quantizer: str
    low: float | None
    high: float | None
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    largest_to_median: float | None
    outside: float | None
    bits_lost: float | None
    median_bits_lost: float | None
    worst_channel: int | None
    empty_channels: int


def channel_ranges(graph: QuantGraph, calibration: Calibration) -> list[ChannelRanges]:
    """Return the ranges of every tensor that is quantized, in graph order.

    The values are those of the float model.

    Costs one pass over the images in float, and two numbers a channel.

    Args:
        graph: A calibrated graph; not changed.
        calibration: Images like those the model will see.
    """
    edges: dict[str, list[QuantEdge]] = {}
    for edge in graph.quant_edges:
        edges.setdefault(edge.module, []).append(edge)
    watchers = {module: _Watcher(graph, members) for module, members in edges.items()}
    replay = Replay(graph)
    for x in track(calibration, "ranges"):
        for module, values in replay.inputs(x):
            watchers[module].watch(values)
    return [watcher.result() for watcher in watchers.values()]


class _Watcher:
    """Keeps the extremes of one tensor's channels, and counts what its range clips.

    Args:
        graph: The graph.
        edges: Those that read it through one module.
    """

    def __init__(self, graph: QuantGraph, edges: Sequence[QuantEdge]) -> None:
        self._edges = edges
        self._spec = edges[0].spec
        self._module = graph.module_of(edges[0])
        self._masked_axis = _masked_axis(graph, edges)
        self._low: Tensor | None = None
        self._high: Tensor | None = None
        self._ends = (torch.empty(0), torch.empty(0))
        self._outside = self._count = 0

    def watch(self, x: Tensor) -> None:
        """Take the values of one batch in; a weight is the same in all."""
        if self._edges[0].edge.operand == "weight" and self._low is not None:
            return
        if self._masked_axis is not None:
            x = torch.maximum(x, x.amax(self._masked_axis, keepdim=True) - _FAR_BELOW)
        axis = self._edges[0].channel_axis
        if self._low is None:
            self._ends = self._chosen(x, axis)
        rows = x.movedim(axis, 0).reshape(x.shape[axis], -1)
        low, high = torch.aminmax(rows, dim=1)
        self._low = low if self._low is None else torch.minimum(self._low, low)
        self._high = high if self._high is None else torch.maximum(self._high, high)
        lower, upper = self._ends
        slack = _ROUNDING * (upper - lower) / (self._spec.qmax - self._spec.qmin)
        # Most tensors lie within: their extremes say so without a look at every value.
        if bool((low < (lower - slack)[:, 0]).any() or (high > (upper + slack)[:, 0]).any()):
            self._outside += int(((rows < lower - slack) | (rows > upper + slack)).sum())
        self._count += x.numel()

    def _chosen(self, x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """Return the smallest and largest value that the module gives, [channels, 1] each."""
        shape = [1] * x.ndim
        shape[axis] = x.shape[axis]
        before, self._module.enabled = self._module.enabled, True
        try:
            ends = [self._module.forward(torch.full(shape, far)) for far in (-_FAR, _FAR)]
        finally:
            self._module.enabled = before
        return ends[0].reshape(-1, 1), ends[1].reshape(-1, 1)

    def result(self) -> ChannelRanges:
        """Return what was seen."""
        assert self._low is not None
        assert self._high is not None
        first = self._edges[0].edge
        own = _own_range(self._low.double(), self._high.double(), self._edges[0])
        lower, upper = (end.flatten().double() for end in self._ends)
        has_range = bool((torch.isfinite(lower) & torch.isfinite(upper)).all())
        widest = int((upper - lower).argmax())
        filled = (own > 0).nonzero().flatten()
        lost = torch.log2((upper - lower) / own)[filled].clamp(0, self._spec.bits)
        is_even = self._spec.quantizer == "affine" and len(filled) > 0
        return ChannelRanges(
            nodes=tuple(edge.edge.node for edge in self._edges),
            kind=first.kind,
            path=first.path,
            operand=first.operand,
            producer=first.producer,
            bits=self._spec.bits,
            quantizer=self._spec.quantizer,
            low=float(lower[widest]) if has_range else None,
            high=float(upper[widest]) if has_range else None,
            minimum=tuple(self._low.tolist()),
            maximum=tuple(self._high.tolist()),
            largest_to_median=_largest_to_median(own[filled]),
            outside=self._outside / self._count if has_range else None,
            bits_lost=float(lost.max()) if is_even else None,
            median_bits_lost=float(lost.median()) if is_even else None,
            worst_channel=int(filled[lost.argmax()]) if is_even else None,
            empty_channels=len(own) - len(filled),
        )


def _own_range(low: Tensor, high: Tensor, edge: QuantEdge) -> Tensor:
    if edge.spec.scheme == "symmetric":
        return 2 * torch.maximum(low.abs(), high.abs())
    if edge.spec.include_zero:
        low, high = low.clamp(max=0), high.clamp(min=0)
    return high - low


def _largest_to_median(own: Tensor) -> float | None:
    ratio = float(own.max() / own.median()) if len(own) else math.nan
    return ratio if math.isfinite(ratio) else None


def _masked_axis(graph: QuantGraph, edges: Sequence[QuantEdge]) -> int | None:
    """Return the axis of the softmax, where only softmaxes of masked logits read a tensor."""
    nodes = {node.name: node for node in graph.graph.nodes}
    readers = [nodes[edge.edge.node] for edge in edges]
    if all(node.meta["kind"] == "softmax" and is_masked(graph, node) for node in readers):
        return int(args_of(readers[0])[1])
    return None
