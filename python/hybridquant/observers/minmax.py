"""The whole range seen so far."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridquant.observers.base import OBSERVERS, Observer
from hybridquant.types import QuantSpec


@OBSERVERS.register("minmax")
class MinMaxObserver(Observer):
    """Smallest and largest value over all batches: nothing is clipped.

    Cost: one pass over each batch, two numbers of state per row.

    Example:
        >>> observer = MinMaxObserver(QuantSpec(bits=8), channel_axis=None)
        >>> observer.observe(torch.tensor([-1.0, 0.5]))
        >>> observer.observe(torch.tensor([1.55]))
        >>> low, high = observer.value_range()
        >>> low.tolist(), round(high.item(), 4)
        ([-1.0], 1.55)
    """

    def __init__(self, spec: QuantSpec, channel_axis: int | None) -> None:
        super().__init__(spec, channel_axis)
        self._low = torch.empty(0)
        self._high = torch.empty(0)

    def _update(self, rows: Tensor, low: Tensor, high: Tensor) -> None:
        is_first = self._num_rows is None
        self._low = low if is_first else torch.minimum(self._low, low)
        self._high = high if is_first else torch.maximum(self._high, high)

    def _merge(self, later: MinMaxObserver) -> None:
        self._low = torch.minimum(self._low, later._low)
        self._high = torch.maximum(self._high, later._high)

    def _range(self) -> tuple[Tensor, Tensor]:
        return self._low, self._high
