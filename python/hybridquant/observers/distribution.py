"""What a range costs: quantization error and quantiles of the values seen so far."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridquant.observers.streaming_histogram import StreamingHistogram
from hybridquant.samples import Samples
from hybridquant.types import QuantSpec

# Rows of at most this many values are kept as they are: every weight of the networks we target
# (the longest filter has 2880 values), and exact where a histogram would save nothing.
EXACT_LIMIT = 4096


class Distribution:
    """The values of each row: all of them while they are few, a histogram beyond that.

    Args:
        exact_limit: Number of values per row above which a histogram replaces them.

    Example:
        >>> distribution = Distribution()
        >>> rows = torch.tensor([[0.0, 1.0, 2.0, 4.0]])
        >>> distribution.add(rows, rows.amin(1), rows.amax(1))
        >>> distribution.quantile(0.5).tolist()
        [1.5]
    """

    def __init__(self, exact_limit: int = EXACT_LIMIT) -> None:
        self._exact_limit = exact_limit
        self._values: Tensor | None = None
        self._histogram: StreamingHistogram | None = None
        self.low = torch.empty(0)
        self.high = torch.empty(0)

    def add(self, rows: Tensor, low: Tensor, high: Tensor) -> None:
        """Take one batch in.

        Args:
            rows: Finite values, float32 [rows, values].
            low: Smallest value of each row, [rows].
            high: Largest value of each row, [rows].
        """
        values, histogram = self._values, self._histogram
        if histogram is None:
            num_values = rows.shape[1] + (0 if values is None else values.shape[1])
            if num_values <= self._exact_limit:
                self._values = rows.clone() if values is None else torch.cat([values, rows], dim=1)
                self.low, self.high = self._values.amin(1), self._values.amax(1)
                return
            histogram = self._histogram = StreamingHistogram()
            if values is not None:
                histogram.add(values, self.low, self.high)
            self._values = None
        histogram.add(rows, low, high)
        self.low, self.high = histogram.low, histogram.high

    def merge(self, later: Distribution) -> None:
        """Take in the values of another distribution, exactly, as if added after these.

        Args:
            later: One of as many rows, not changed; neither may be empty.
        """
        if later._values is not None:
            self.add(later._values, later.low, later.high)
            return
        assert later._histogram is not None
        if self._histogram is None:
            self._histogram = StreamingHistogram()
            if self._values is not None:
                self._histogram.add(self._values, self.low, self.high)
            self._values = None
        self._histogram.merge(later._histogram)
        self.low, self.high = self._histogram.low, self._histogram.high

    def samples(self) -> Samples:
        """Return the values as stretches: a point each while they are few, else the used bins.

        The outermost bins end at the smallest and the largest value. Zeros are a point.
        """
        if self._values is not None:
            return Samples.of(self._values)
        histogram = self._histogram
        assert histogram is not None
        edges = histogram.edges()
        # At most the largest value; and at least the smallest, for rows with fewer bins in use.
        edges = edges.minimum(histogram.high.double()[:, None])
        edges = edges.maximum(histogram.low.double()[:, None])
        counts = histogram.counts[:, : edges.shape[1] - 1].double()
        zero = torch.zeros_like(edges[:, :1])
        low, order = torch.cat([edges[:, :-1], zero], dim=1).sort(dim=1, stable=True)
        high = torch.cat([edges[:, 1:], zero], dim=1).gather(1, order)
        counts = torch.cat([counts, histogram.num_zeros[:, None].double()], dim=1)
        return Samples(low, high, counts.gather(1, order))

    @property
    def uncertainty(self) -> Tensor:
        """Relative error of ``error``, float64 [rows]: a gain below it may be none at all.

        Zero for kept values. A histogram gives the expected error of values spread evenly in
        their bins; that of n actual ones deviates by 0.9 / sqrt(n), the spread of the square of
        an even distribution. Chosen: 4 / sqrt(n), three deviations of a difference of two.
        """
        if self._histogram is None:
            return torch.zeros_like(self.low, dtype=torch.float64)
        num_values = self._histogram.counts.sum(dim=1).clamp(min=1)
        return 4.0 / num_values.to(torch.float64).sqrt()

    def error(self, scale: Tensor, zero_point: Tensor, spec: QuantSpec, exponent: float) -> Tensor:
        """Return the sum of ``|x - x_hat|^exponent`` over each row, float64 [rows].

        Exact for kept values. For a histogram it is the exact integral over the bins with the
        values of a bin taken as spread evenly, so it holds for bins wider than a step too.

        Args:
            scale: float32 [rows].
            zero_point: Integers in float32, [rows].
            spec: The code range.
            exponent: Positive; 2 is the squared error.
        """
        low_code, high_code = spec.qmin - zero_point, spec.qmax - zero_point
        if self._values is not None:
            return _sample_error(self._values, scale, low_code, high_code, exponent)
        assert self._histogram is not None
        return _histogram_error(self._histogram, scale, low_code, high_code, exponent)

    def quantile(self, fraction: float) -> Tensor:
        """Return the value below which ``fraction`` of each row lies, float32 [rows].

        Interpolates linearly between neighbouring values (in a histogram: inside the bin, so it
        is off by at most one bin: a 2047th of the range of a tensor, a 511th of a channel's).
        """
        if self._values is not None:
            return _sample_quantile(self._values, fraction)
        assert self._histogram is not None
        return _histogram_quantile(self._histogram, fraction)


def _sample_error(
    values: Tensor, scale: Tensor, low_code: Tensor, high_code: Tensor, exponent: float
) -> Tensor:
    code = (values * (1.0 / scale)[:, None]).round_()
    code = torch.minimum(torch.maximum(code, low_code[:, None]), high_code[:, None])
    error = code.mul_(scale[:, None]).sub_(values).abs_()
    error = error.square_() if exponent == 2.0 else error.pow_(exponent)
    return error.sum(dim=1, dtype=torch.float64)


def _histogram_error(
    histogram: StreamingHistogram,
    scale: Tensor,
    low_code: Tensor,
    high_code: Tensor,
    exponent: float,
) -> Tensor:
    """Integrate the error over the bins through its antiderivative in units of the scale.

    With ``u = x / scale``, ``r`` the shifted code of ``u`` and ``d = u - r``, an antiderivative of
    ``|d|^p`` is ``r * cell + sign(d) * |d|^(p+1) / (p+1)``, where ``cell`` is the integral over one
    full step. It is continuous, also where the codes end and ``|d|`` grows beyond one half.
    """
    step = scale.to(torch.float64)[:, None]
    u = histogram.edges() / step
    code = u.round()
    code = torch.minimum(torch.maximum(code, low_code[:, None]), high_code[:, None])
    distance = u.sub_(code)
    power = exponent + 1.0
    if exponent == 2.0:
        partial = distance * distance * distance
    else:
        partial = distance.abs().pow(power).copysign(distance)
    cell = 2.0 * 0.5**power
    integral = partial.add_(code, alpha=cell).diff(dim=1)
    total = (integral * histogram.counts[:, : integral.shape[1]]).sum(dim=1)
    total = total * (step[:, 0] ** power / (power * histogram.width))
    zero_error = scale * torch.zeros_like(scale).clamp(low_code, high_code)
    return total + histogram.num_zeros * zero_error.abs().to(torch.float64) ** exponent


def _sample_quantile(values: Tensor, fraction: float) -> Tensor:
    ordered = values.sort(dim=1).values
    position = fraction * (values.shape[1] - 1)
    below = int(position)
    above = min(below + 1, values.shape[1] - 1)
    return torch.lerp(ordered[:, below], ordered[:, above], position - below)


def _histogram_quantile(histogram: StreamingHistogram, fraction: float) -> Tensor:
    counts = histogram.counts.scatter_add(1, histogram.zero_bin, histogram.num_zeros[:, None])
    cumulated = counts.cumsum(dim=1)
    num_values = cumulated[:, -1:]
    position = fraction * (num_values - 1).to(torch.float64)
    below = position.floor()
    ranks = torch.cat([below, below + 1], dim=1).to(torch.int64).minimum(num_values - 1)
    index = torch.searchsorted(cumulated, ranks, right=True)
    count = counts.gather(1, index)
    before = cumulated.gather(1, index) - count
    # The values of a bin stand in the middle of equal parts of it.
    inside = (ranks - before + 0.5) / count
    values = (histogram.first[:, None] + index + inside) * histogram.width[:, None]
    value = torch.lerp(values[:, 0], values[:, 1], (position - below)[:, 0])
    return value.to(torch.float32).clamp(histogram.low, histogram.high)
