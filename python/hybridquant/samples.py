"""What quantizers choose their parameters from: values with their counts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Samples:
    """The values of each row, sorted: stretches over which values are spread evenly, and points.

    A point is a stretch from a value to itself. Rows are channels, or a single one.

    Args:
        low: Where each stretch begins, float64 [rows, stretches], ascending.
        high: Where it ends, at least ``low``.
        counts: Number of values in it, float64 [rows, stretches].

    Example:
        >>> samples = Samples.of(torch.tensor([[0.3, 0.0, 0.9]]))
        >>> samples.quantile(0.5).tolist(), round(float(samples.largest), 4)
        ([0.30000001192092896], 0.9)
        >>> levels, thresholds = torch.tensor([0.0, 1.0]), torch.tensor([0.5])
        >>> [round(error, 4) for error in samples.squared_error(levels, thresholds).tolist()]
        [0.1]
    """

    low: Tensor
    high: Tensor
    counts: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> Samples:
        """Return the values of ``rows`` [rows, values], each as it is."""
        values = rows.detach().double().sort(dim=1).values
        return cls(values, values, torch.ones_like(values))

    @property
    def smallest(self) -> Tensor:
        """Smallest value of each row, float64 [rows]."""
        return self.low.where(self.counts > 0, torch.inf).amin(1)

    @property
    def largest(self) -> Tensor:
        """Largest value of each row, float64 [rows]."""
        return self.high.where(self.counts > 0, -torch.inf).amax(1)

    @property
    def magnitude(self) -> Tensor:
        """Largest magnitude of each row, float64 [rows]."""
        return torch.maximum(self.smallest.abs(), self.largest.abs())

    def quantile(self, fraction: float) -> Tensor:
        """Return the smallest value that at least ``fraction`` of each row do not exceed.

        Inside a stretch by linear interpolation.

        Args:
            fraction: 0 to 1.

        Returns:
            float64 [rows].
        """
        cumulated = self.counts.cumsum(1).contiguous()
        wanted = (fraction * cumulated[:, -1:]).contiguous()
        index = torch.searchsorted(cumulated, wanted).clamp(max=self.counts.shape[1] - 1)
        low, high, count = (part.gather(1, index) for part in (self.low, self.high, self.counts))
        before = cumulated.gather(1, index) - count
        inside = ((wanted - before) / count.clamp(min=1e-300)).clamp(0, 1)
        return (low + inside * (high - low))[:, 0]

    def squared_error(
        self, levels: Tensor, thresholds: Tensor, scale: Tensor | None = None
    ) -> Tensor:
        """Return the sum of ``(x - x_hat)^2`` of each row, float64 [rows].

        Stretches are integrated exactly, so it holds for those wider than a level too.

        Args:
            levels: In units of the scale, [n].
            thresholds: Ascending; value t has the level after as many as are at most t, [n - 1].
            scale: Positive, [rows] or [1]; 1 if not given.
        """
        levels, thresholds = levels.double(), thresholds.double()
        step = torch.ones(1) if scale is None else scale
        step = step.double()[:, None]
        lows, highs = (self.low / step).contiguous(), (self.high / step).contiguous()
        if torch.equal(self.low, self.high):
            found = levels[torch.bucketize(lows, thresholds, right=True)]
            error = (lows - found).square()
        else:
            width = highs - lows
            spread = _antiderivative(highs, levels, thresholds)
            spread -= _antiderivative(lows, levels, thresholds)
            found = levels[torch.bucketize(lows, thresholds, right=True)]
            point = (lows - found).square()
            error = torch.where(width > 0, spread / width.where(width > 0, 1.0), point)
        return (error * self.counts).sum(1) * step[:, 0].square()


def _antiderivative(t: Tensor, levels: Tensor, thresholds: Tensor) -> Tensor:
    """Return an integral of the squared distance from the level of ``t``, continuous in ``t``."""
    below, above = (thresholds - levels[:-1]) ** 3, (thresholds - levels[1:]) ** 3
    offset = torch.cat([levels.new_zeros(1), (below - above).cumsum(0)])
    index = torch.bucketize(t, thresholds, right=True)
    return ((t - levels[index]) ** 3 + offset[index]) / 3
