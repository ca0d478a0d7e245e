"""The values themselves, for quantizers that choose their own parameters."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from hybridquant.observers.base import Observer
from hybridquant.observers.distribution import Distribution
from hybridquant.samples import Samples
from hybridquant.types import QuantSpec


class SamplesObserver(Observer):
    """Keeps the values of each row while they are few, a histogram of all batches beyond that.

    It is no observer that a rule names: quantizers that calibrate themselves have it, and the
    options of the rule's observer do not matter to it. Cost: one pass over each batch, at most a
    histogram a row.

    Example:
        >>> import torch
        >>> observer = SamplesObserver(QuantSpec(bits=4), channel_axis=None)
        >>> observer.observe(torch.tensor([0.5, 2.0]))
        >>> observer.samples().largest.tolist()
        [2.0]
    """

    def __init__(self, spec: QuantSpec, channel_axis: int | None) -> None:
        super().__init__(replace(spec, observer_options={}), channel_axis)
        self._distribution = Distribution()

    def samples(self) -> Samples:
        """Return what was seen.

        Raises:
            RuntimeError: If nothing was observed.
        """
        self.value_range()
        return self._distribution.samples()

    def _update(self, rows: Tensor, low: Tensor, high: Tensor) -> None:
        self._distribution.add(rows, low, high)

    def _merge(self, later: SamplesObserver) -> None:
        self._distribution.merge(later._distribution)

    def _range(self) -> tuple[Tensor, Tensor]:
        return self._distribution.low, self._distribution.high
