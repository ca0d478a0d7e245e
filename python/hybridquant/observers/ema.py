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
    The result depends on the order of the batches and on how the images are cut into them, so the
    range of each is kept: two observers merge exactly by going through the later one's too.
    Cost: one pass over each batch, two numbers of state per row and batch.

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
        self._ranges: list[tuple[Tensor, Tensor]] = []

    def _update(self, rows: Tensor, low: Tensor, high: Tensor) -> None:
        self._ranges.append((low.clone(), high.clone()))

    def _merge(self, later: EmaObserver) -> None:
        self._ranges += later._ranges

    def _range(self) -> tuple[Tensor, Tensor]:
        low, high = (bound.clone() for bound in self._ranges[0])
        for batch_low, batch_high in self._ranges[1:]:
            low.lerp_(batch_low, self.options["momentum"])
            high.lerp_(batch_high, self.options["momentum"])
        # Rounding of the averages may cross two ends that are equal but for an ulp.
        return low, torch.maximum(low, high)
