"""The pair of quantiles with the least squared error, among three."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridquant.observers.base import OBSERVERS, Observer
from hybridquant.observers.distribution import Distribution
from hybridquant.observers.parameters import affine_parameters
from hybridquant.types import QuantSpec

_PERCENTILES = (0.999, 0.9999, 0.99999)


@OBSERVERS.register("percentile_l2")
class PercentileL2Observer(Observer):
    """Quantiles 1 - p and p of all values, p of 0.999, 0.9999 and 0.99999 with the least L2 error.

    Each channel has its own p. Of equal ones the smallest is taken. Cost: one pass over each batch,
    six over the histogram.

    Source:
        RepQ-ViT (arXiv 2212.08254), released code, which takes the quantiles of one batch of 32
        images; ours are of the whole stream. Chosen: quantiles of a histogram are off by at most
        one of its bins.

    Example:
        >>> observer = PercentileL2Observer(QuantSpec(bits=4), channel_axis=None)
        >>> observer.observe(torch.cat([torch.linspace(0, 1, 3000), torch.tensor([3.0])]))
        >>> bool(observer.value_range()[1] < 1.1)
        True
    """

    def __init__(self, spec: QuantSpec, channel_axis: int | None) -> None:
        super().__init__(spec, channel_axis)
        self._distribution = Distribution()

    def _update(self, rows: Tensor, low: Tensor, high: Tensor) -> None:
        self._distribution.add(rows, low, high)

    def _merge(self, later: PercentileL2Observer) -> None:
        self._distribution.merge(later._distribution)

    def _range(self) -> tuple[Tensor, Tensor]:
        seen, spec = self._distribution, self.spec
        ranges = [(seen.quantile(1.0 - p), seen.quantile(p)) for p in _PERCENTILES]
        errors = [seen.error(*affine_parameters(*ends, spec), spec, 2.0) for ends in ranges]
        best = torch.stack(errors).argmin(0)[None]
        low, high = (torch.stack([ends[side] for ends in ranges]) for side in (0, 1))
        return low.gather(0, best)[0], high.gather(0, best)[0]
