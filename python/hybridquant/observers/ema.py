"""An exponential moving average of each batch's range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from hybridquant.observers.base import OBSERVERS, Observer, Option
from hybridquant.types import QuantSpec


@OBSERVERS.register("ema")
class EmaObserver(Observer):
    """Moving average of each batch's smallest and largest value.

    The first batch sets the range; each later one moves it by ``momentum * (batch - range)``.
    The result depends on the order of the batches and on how the images are cut into them.
    Cost: one pass over each batch, two numbers of state per row.

    Source:
        FQ-ViT (arXiv 2111.13824), released code: momentum 0.01, the default. I-ViT's 0.95 weighs
        the old range instead, which is ``momentum: 0.05`` here.

    Example:
        >>> observer = EmaObserver(QuantSpec(observer_options={"momentum": 0.5}), channel_axis=None)
        >>> observer.observe(torch.tensor([0.0, 1.0]))
        >>> observer.observe(torch.tensor([0.0, 3.0]))
        >>> observer.value_range()[1].tolist()
        [2.0]
    """

    OPTIONS: ClassVar[Mapping[str, Option]] = {
        "momentum": Option(0.01, 0.0, 1.0, help="Weight of the newest batch."),
    }

    def __init__(self, spec: QuantSpec, channel_axis: int | None) -> None:
        super().__init__(spec, channel_axis)
        self._low = torch.empty(0)
        self._high = torch.empty(0)

    def _update(self, rows: Tensor, low: Tensor, high: Tensor) -> None:
        if self._num_rows is None:
            self._low, self._high = low.clone(), high.clone()
            return
        self._low.lerp_(low, self.options["momentum"])
        self._high.lerp_(high, self.options["momentum"])

    def _range(self) -> tuple[Tensor, Tensor]:
        # Rounding of the averages may cross two ends that are equal but for an ulp.
        return self._low, torch.maximum(self._low, self._high)
