"""The range between two quantiles of all values seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from hybridquant.observers.base import OBSERVERS, Observer, Option
from hybridquant.observers.distribution import Distribution
from hybridquant.types import QuantSpec


@OBSERVERS.register("percentile")
class PercentileObserver(Observer):
    """Quantiles ``lower`` and ``upper`` of the values of all batches together.

    Options: ``percentile: p`` for the quantiles 1 - p and p, or ``lower`` and ``upper`` one by
    one. Cost: one pass over each batch, one over the histogram.

    Source:
        FQ-ViT (arXiv 2111.13824), released code: 0.99999 and 0.00001, the default, taken of each
        batch and averaged with momentum 0.01. Deviation: ours are the quantiles of the whole
        stream. With the usual 4 to 10 batches a momentum of 0.01 means the first batch decides
        alone, and the result would depend on the order of the batches and on their size.

    Example:
        >>> import torch
        >>> spec = QuantSpec(observer="percentile", observer_options={"percentile": 0.9})
        >>> observer = PercentileObserver(spec, channel_axis=None)
        >>> observer.observe(torch.arange(11.0))
        >>> [bound.item() for bound in observer.value_range()]
        [1.0, 9.0]
    """

    OPTIONS: ClassVar[Mapping[str, Option]] = {
        "percentile": Option(None, 0.5, 1.0, help="Upper quantile; the lower one is 1 minus it."),
        "lower": Option(0.00001, 0.0, 0.5, help="Lower quantile."),
        "upper": Option(0.99999, 0.5, 1.0, help="Upper quantile."),
    }

    def __init__(self, spec: QuantSpec, channel_axis: int | None) -> None:
        super().__init__(spec, channel_axis)
        self._distribution = Distribution()

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``lower`` and ``upper``; see ``Observer.check_options``."""
        given = super().check_options(options)
        if "percentile" in options and ("lower" in options or "upper" in options):
            msg = (
                f"{cls.__name__}: options must be either percentile or lower and upper, "
                f"got {', '.join(sorted(options))}"
            )
            raise ValueError(msg)
        if "percentile" in options:
            return {"lower": 1.0 - given["percentile"], "upper": given["percentile"]}
        return {"lower": given["lower"], "upper": given["upper"]}

    def _update(self, rows: Tensor, low: Tensor, high: Tensor) -> None:
        self._distribution.add(rows, low, high)

    def _merge(self, later: PercentileObserver) -> None:
        self._distribution.merge(later._distribution)

    def _range(self) -> tuple[Tensor, Tensor]:
        quantile = self._distribution.quantile
        return quantile(self.options["lower"]), quantile(self.options["upper"])
