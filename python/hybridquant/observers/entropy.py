"""The range whose quantized histogram diverges least from the histogram itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from hybridquant.observers.base import OBSERVERS, Observer, Option
from hybridquant.observers.streaming_histogram import StreamingHistogram
from hybridquant.types import QuantSpec

SMOOTHING = 1e-4


@OBSERVERS.register("entropy")
class EntropyObserver(Observer):
    """Search for the window of the histogram with the least Kullback-Leibler divergence.

    For each window, P is the histogram inside it with what lies outside added to its end bins, and
    Q is the inside merged into as many levels as there are codes and spread evenly over the
    non-empty bins of each level; both sum to one, and Q is 1e-4 where it is zero but P is not.
    The window with the least KL(P || Q) wins, the widest of equal ones.

    Symmetric: the histogram is that of ``|x|``, a window is its first i bins, and there are
    ``2^(bits-1)`` levels. Asymmetric (our definition): a window is what lies within a distance of
    zero (of the end nearest to zero, when zero is outside the range), so that a long end is cut
    before a short one, and there are ``2^bits`` levels; for one-sided data that is the symmetric
    form with twice the levels. A window needs at least as many bins as levels, and a row more
    values than levels, or nothing is clipped: so it is with 16 bits and with small filters. Exact
    zeros are left out: they are a code, and the spike that a ReLU leaves would force one level
    per bin.

    Cost: one pass over each batch, then n passes over the histogram.

    Source:
        TensorRT's 8-bit calibration (Migacz, GTC 2017) as described in NVIDIA's forum: 128
        levels, threshold ``(i + 0.5)`` bins. NVIDIA's pytorch-quantization also overwrites the
        bin that holds zero. The smoothing is the common one, not TensorRT's own.
        Deviation: n windows spread evenly instead of every i, on 2048 to 4096 bins instead of
        2048.

    Example:
        >>> observer = EntropyObserver(QuantSpec(bits=4), channel_axis=None)
        >>> observer.observe(torch.cat([torch.linspace(0, 1, 10000), torch.tensor([50.0])]))
        >>> bool(observer.value_range()[1] < 2.0)
        True
    """

    OPTIONS: ClassVar[Mapping[str, Option]] = {
        "candidates": Option(128, 1, 10000, is_integer=True, help="Number of windows tried."),
    }

    def __init__(self, spec: QuantSpec, channel_axis: int | None) -> None:
        super().__init__(spec, channel_axis)
        self._histogram = StreamingHistogram()

    def _update(self, rows: Tensor, low: Tensor, high: Tensor) -> None:
        if self.spec.scheme == "symmetric" or self.spec.include_zero:
            low, high = low.clamp(max=0.0), high.clamp(min=0.0)
        self._histogram.add(rows, low, high)

    def _merge(self, later: EntropyObserver) -> None:
        self._histogram.merge(later._histogram)

    def _range(self) -> tuple[Tensor, Tensor]:
        histogram = self._histogram
        low, high, first = histogram.low, histogram.high, histogram.first
        counts = histogram.counts[:, : histogram.num_used].to(torch.float64)
        num_levels = self.spec.qmax - self.spec.qmin + 1
        if self.spec.scheme == "symmetric":
            counts, first = _fold(counts, first), torch.zeros_like(first)
            high = torch.maximum(high, -low)
            low, num_levels = torch.zeros_like(high), num_levels // 2
        stop = (high.to(torch.float64) / histogram.width).floor().to(torch.int64) - first + 1
        start, centre = torch.zeros_like(stop), torch.minimum(-first.clamp(max=0), stop)
        is_searched = counts.sum(dim=1) > num_levels
        start[is_searched], stop[is_searched] = _best_window(
            counts[is_searched],
            centre[is_searched],
            stop[is_searched],
            num_levels,
            self.options["candidates"],
        )
        start_edge = ((first + start - 0.5) * histogram.width).to(torch.float32)
        stop_edge = ((first + stop + 0.5) * histogram.width).to(torch.float32)
        low, high = torch.maximum(low, start_edge), torch.minimum(high, stop_edge)
        return (-high, high) if self.spec.scheme == "symmetric" else (low, high)


def _fold(counts: Tensor, first: Tensor) -> Tensor:
    """Return the histogram of ``|x|``, from bin 0 on, of one whose range holds zero."""
    bins = first[:, None] + torch.arange(counts.shape[1], device=counts.device)
    target = torch.where(bins < 0, -1 - bins, bins)
    folded = counts.new_zeros(counts.shape[0], int(target.max()) + 1)
    return folded.scatter_add_(1, target, counts)


def _best_window(
    counts: Tensor, centre: Tensor, end: Tensor, num_levels: int, candidates: int
) -> tuple[Tensor, Tensor]:
    """Return each row's best window as its first bin and the bin after its last, int64 [rows]."""
    best_start, best_stop = torch.zeros_like(end), end
    least = counts.new_full((counts.shape[0],), torch.inf)
    farthest = torch.maximum(centre, end - centre)
    for i in range(candidates):
        distance = farthest - farthest * i // candidates
        start, stop = (centre - distance).clamp(min=0), torch.minimum(centre + distance, end)
        divergence = _divergence(counts, start, stop, num_levels)
        is_better = (divergence < least) & (stop - start >= num_levels)
        best_start = torch.where(is_better, start, best_start)
        best_stop = torch.where(is_better, stop, best_stop)
        least = torch.where(is_better, divergence, least)
    return best_start, best_stop


def _divergence(counts: Tensor, start: Tensor, stop: Tensor, num_levels: int) -> Tensor:
    """Return KL(P || Q) of the window ``[start, stop)`` of each row, NaN where it is empty."""
    start, stop = start[:, None], stop[:, None]
    bins = torch.arange(counts.shape[1], device=counts.device)
    inside = torch.where((bins >= start) & (bins < stop), counts, 0.0)
    below = torch.where(bins < start, counts, 0.0).sum(dim=1, keepdim=True)
    above = torch.where(bins >= stop, counts, 0.0).sum(dim=1, keepdim=True)
    p = inside.scatter_add(1, start, below).scatter_add_(1, stop - 1, above)

    level = ((bins - start) * num_levels // (stop - start)).clamp_(0, num_levels - 1)
    is_occupied = (inside > 0).to(torch.float64)
    zeros = counts.new_zeros(counts.shape[0], num_levels)
    mass = zeros.scatter_add(1, level, inside)
    num_occupied = zeros.scatter_add(1, level, is_occupied).clamp_(min=1.0)
    q = (mass / num_occupied).gather(1, level) * is_occupied

    p, q = p / p.sum(dim=1, keepdim=True), q / q.sum(dim=1, keepdim=True)
    q = torch.where((p > 0) & (q == 0), SMOOTHING, q)
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(dim=1)
