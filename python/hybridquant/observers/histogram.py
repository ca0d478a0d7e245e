"""The range with the least squared error, each end moved on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from hybridquant.observers.base import OBSERVERS, Observer, Option
from hybridquant.observers.distribution import Distribution
from hybridquant.observers.parameters import affine_parameters
from hybridquant.types import QuantSpec


@OBSERVERS.register("histogram")
class HistogramObserver(Observer):
    """Search for the lower and the upper end that together lose least.

    Starts from the whole range and moves one end at a time to the best of n positions between
    where it started and zero, until no end moves or ``rounds`` are done. The squared error never
    grows on the way, so it is at most that of ``minmax``. For a symmetric scheme the ends are one.
    Cost: one pass over each batch, then at most ``2 * n * rounds`` passes over the histogram.

    Source:
        PyTorch's HistogramObserver also minimises the L2 error over (low, high) on a histogram of
        2048 bins, but walks greedily by quantiles and stops at the first step that does not help.
        Chosen: alternating grids, because the error is not unimodal in one end while the
        zero-point rounds.

    Example:
        >>> observer = HistogramObserver(QuantSpec(bits=3), channel_axis=None)
        >>> observer.observe(torch.cat([torch.linspace(-0.2, 1, 1000), torch.tensor([5.0])]))
        >>> low, high = observer.value_range()
        >>> bool(low > -0.4) and bool(high < 2.0)
        True
    """

    OPTIONS: ClassVar[Mapping[str, Option]] = {
        "candidates": Option(100, 1, 10000, is_integer=True, help="Positions tried for one end."),
        "rounds": Option(3, 1, 100, is_integer=True, help="How often each end may move."),
    }

    def __init__(self, spec: QuantSpec, channel_axis: int | None) -> None:
        super().__init__(spec, channel_axis)
        self._distribution = Distribution()

    def _update(self, rows: Tensor, low: Tensor, high: Tensor) -> None:
        self._distribution.add(rows, low, high)

    def _merge(self, later: HistogramObserver) -> None:
        self._distribution.merge(later._distribution)

    def _range(self) -> tuple[Tensor, Tensor]:
        low, high = self._distribution.low, self._distribution.high
        if self.spec.scheme == "symmetric":
            low, high = torch.zeros_like(low), torch.maximum(low.abs(), high.abs())
        elif self.spec.include_zero:
            low, high = low.clamp(max=0.0), high.clamp(min=0.0)
        ends = [low, high]
        # A candidate has to beat the whole range by more than the histogram's uncertainty.
        least = self._error(low, high) * (1.0 - self._distribution.uncertainty)
        for _ in range(self.options["rounds"]):
            is_moved = False
            for side, start in ((1, high), (0, low)):
                for candidate in self._positions(start, low, high):
                    error = self._error(*(candidate if i == side else ends[i] for i in (0, 1)))
                    is_better = error < least
                    ends[side] = torch.where(is_better, candidate, ends[side])
                    least = torch.where(is_better, error, least)
                    is_moved |= bool(is_better.any())
            if not is_moved:
                break
        return (-ends[1] if self.spec.scheme == "symmetric" else ends[0]), ends[1]

    def _positions(self, start: Tensor, low: Tensor, high: Tensor) -> list[Tensor]:
        """Return the places for one end: from ``start`` to zero, or to the end nearest to it."""
        centre = torch.zeros_like(low).clamp(low, high)
        if torch.equal(start, centre):
            return []
        num_steps: int = self.options["candidates"]
        return [torch.lerp(centre, start, i / num_steps) for i in range(num_steps, -1, -1)]

    def _error(self, low: Tensor, high: Tensor) -> Tensor:
        scale, zero_point = affine_parameters(low, high, self.spec)
        return self._distribution.error(scale, zero_point, self.spec, exponent=2.0)
