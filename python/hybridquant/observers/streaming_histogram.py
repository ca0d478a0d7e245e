"""A histogram of a stream whose range is not known beforehand."""

from __future__ import annotations

import torch
from torch import Tensor

# Bins of a single row, and of each row when there are several: 8 bytes each, so 1000 channels
# take 8 MB, and still two bins per step of an 8-bit code.
TENSOR_BINS, CHANNEL_BINS = 4096, 1024


class StreamingHistogram:
    """Counts the values of each row in bins whose width is a power of two.

    Bin ``n`` of a row of width ``w`` holds the values in ``[n*w, (n+1)*w)``: zero is always an
    edge. ``w`` is the smallest power of two with which the row's range fits into ``capacity``
    bins, so a range is covered by more than ``capacity / 2 - 1`` of them. When a batch widens the
    range, ``w`` doubles as often as needed and neighbouring bins are added up, which moves no
    value into a wrong bin. The counts therefore depend on the values only: not on the order of
    the batches, how they were cut, or the number of threads.

    Values that are exactly zero are counted apart, in ``num_zeros``: after a ReLU or h-swish they
    are half of all values, and they cost nothing wherever zero is a code.

    Cost: one pass over each batch, ``8 * capacity`` bytes per row.

    Args:
        capacity: Number of bins per row; None for 4096 when there is one row, else 1024.

    Example:
        >>> histogram = StreamingHistogram(capacity=4)
        >>> for batch in ([[0.1, 0.9]], [[3.5, -0.5]]):
        ...     rows = torch.tensor(batch)
        ...     histogram.add(rows, rows.amin(1), rows.amax(1))
        >>> histogram.width.tolist(), histogram.first.tolist(), histogram.counts.tolist()
        ([2.0], [-1], [[1, 2, 1, 0]])
    """

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity = capacity or 0
        self.low = torch.empty(0)
        self.high = torch.empty(0)
        # Bin i of row r starts at (first[r] + i) * 2^exponent[r].
        self.counts = torch.empty(0, 0, dtype=torch.int64)
        self.num_zeros = torch.empty(0, dtype=torch.int64)
        self.first = torch.empty(0, dtype=torch.int64)
        self.exponent = torch.empty(0, dtype=torch.int64)

    @property
    def width(self) -> Tensor:
        """Bin width of each row, float64 [rows]."""
        return _power_of_two(self.exponent)

    @property
    def zero_bin(self) -> Tensor:
        """Index of the bin that starts at zero, int64 [rows, 1]; any bin where there is none."""
        return (-self.first).clamp(0, self.capacity - 1)[:, None]

    @property
    def num_used(self) -> int:
        """Number of leading bins that hold every value of every row."""
        last = (self.high.to(torch.float64) / self.width).floor().to(torch.int64)
        return int((last - self.first).max()) + 1

    def edges(self) -> Tensor:
        """Return the edges of the used bins, float64 [rows, num_used + 1]."""
        steps = torch.arange(self.num_used + 1, device=self.first.device)
        return (self.first[:, None] + steps) * self.width[:, None]

    def add(self, rows: Tensor, low: Tensor, high: Tensor) -> None:
        """Count one batch.

        Args:
            rows: Finite values, float32 [rows, values]; the same number of rows each time.
            low: Smallest value of each row, [rows].
            high: Largest value of each row, [rows].
        """
        is_first = self.counts.shape[0] == 0
        if is_first and not self.capacity:
            self.capacity = TENSOR_BINS if len(rows) == 1 else CHANNEL_BINS
        self.low = low.clone() if is_first else torch.minimum(self.low, low)
        self.high = high.clone() if is_first else torch.maximum(self.high, high)
        exponent, first = self._grid()
        if is_first:
            self.num_zeros = torch.zeros(len(low), dtype=torch.int64, device=rows.device)
            self.counts = self.num_zeros.new_zeros(len(low), self.capacity)
        elif not (torch.equal(exponent, self.exponent) and torch.equal(first, self.first)):
            self.counts = self._moved(exponent, first)
        self.exponent, self.first = exponent, first
        self._count(rows)

    def merge(self, other: StreamingHistogram) -> None:
        """Count the values of another histogram too, exactly.

        Both move to the grid of the common range, which is that of one histogram of all values.

        Args:
            other: One of as many rows and bins, not changed; neither may be empty.
        """
        self.low = torch.minimum(self.low, other.low)
        self.high = torch.maximum(self.high, other.high)
        exponent, first = self._grid()
        self.counts = self._moved(exponent, first) + other._moved(exponent, first)
        self.num_zeros = self.num_zeros + other.num_zeros
        self.exponent, self.first = exponent, first

    def _grid(self) -> tuple[Tensor, Tensor]:
        """Return the exponent and first bin of each row for the present range."""
        low, high = self.low.to(torch.float64), self.high.to(torch.float64)
        # |x| / w <= 2^23 keeps bin numbers exact in float32; -126 keeps 1 / w a finite float32.
        magnitude = _exponent_above(torch.maximum(low.abs(), high.abs())) - 23
        spread = _exponent_above((high - low) / self.capacity) - 1
        exponent = torch.maximum(magnitude, spread).clamp(min=-126)
        while True:
            width = _power_of_two(exponent)
            first, last = (low / width).floor(), (high / width).floor()
            is_short = last - first >= self.capacity
            if not bool(is_short.any()):
                return exponent, first.to(torch.int64)
            exponent = exponent + is_short

    def _moved(self, exponent: Tensor, first: Tensor) -> Tensor:
        """Return the counts added up into the bins of a wider or shifted grid."""
        bins = self.first[:, None] + torch.arange(self.capacity, device=first.device)
        shift = (exponent - self.exponent).clamp(max=62)
        target = (bins >> shift[:, None]) - first[:, None]
        # Bins outside the new grid are empty, so where they go does not matter.
        target.clamp_(0, self.capacity - 1)
        return torch.zeros_like(self.counts).scatter_add_(1, target, self.counts)

    def _count(self, rows: Tensor) -> None:
        # Scaling by a power of two is exact (short of underflow, at 2^-126 of a bin), and so is the
        # difference of integers below 2^24.
        scale = _power_of_two(-self.exponent).to(torch.float32)
        bins = (rows * scale[:, None]).floor_().sub_(self.first.to(torch.float32)[:, None])
        index = bins.to(torch.int32)
        if len(rows) > 1:
            offset = torch.arange(len(rows), device=rows.device, dtype=torch.int32)
            index += (offset * self.capacity)[:, None]
        counts = torch.bincount(index.reshape(-1), minlength=self.counts.numel())
        self.counts += counts.reshape(self.counts.shape)
        num_zeros = rows.shape[1] - torch.count_nonzero(rows, dim=1)
        self.num_zeros += num_zeros
        self.counts.scatter_add_(1, self.zero_bin, -num_zeros[:, None])


def _exponent_above(x: Tensor) -> Tensor:
    """Return the least n with x < 2^n, int64; -1000 for zero, where frexp says 0."""
    return torch.where(x > 0, torch.frexp(x).exponent, -1000).to(torch.int64)


def _power_of_two(exponent: Tensor) -> Tensor:
    """Return 2^exponent in float64, from its bits: vectorised exp2 may be off by one ulp."""
    return ((exponent + 1023) << 52).view(torch.float64)
