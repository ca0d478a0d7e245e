"""Two uniform ranges for what GELU and its like make: one a sign."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from hybridquant.quantizers import QUANTIZERS, Setting
from hybridquant.quantizers.level_fake_quant import (
    GELU_MINIMUM,
    LevelFakeQuant,
    check_spec,
    usable_scale,
)
from hybridquant.samples import Samples
from hybridquant.types import QuantSpec

_NUM_SCALES, _FIRST, _LAST = 100, 0.01, 1.2


@QUANTIZERS.register("twin_gelu")
class TwinGeluFakeQuant(LevelFakeQuant):
    """Two uniform ranges: negatives down to GELU's least value, -0.17, and positives.

    The first bit of a code is the sign. Negative steps are ``0.16997124 / 2^(bits-1)``, the scale
    is the positive step, by least squared error.

    Args:
        bits: Width of a code, 2 to 8.

    Source:
        PTQ4ViT, arXiv 2111.12293.

    Example:
        >>> quantizer = TwinGeluFakeQuant(3)
        >>> quantizer.use(Setting(torch.ones(1)))
        >>> quantizer(torch.tensor([-0.2, -0.05, 0.4, 9.0]))
        tensor([-0.1700, -0.0425,  0.0000,  3.0000])
    """

    DEPENDS_ON_SCALE: ClassVar[bool] = True

    def __init__(self, bits: int) -> None:
        super().__init__(bits, 1 << bits)
        self.num_negative = 1 << (bits - 1)

    @classmethod
    def from_spec(cls, spec: QuantSpec, channel_axis: int, num_channels: int) -> TwinGeluFakeQuant:
        """Return an uncalibrated module for ``spec``."""
        check_spec("twin_gelu", spec, granularity="tensor")
        cls.check_options(spec.quantizer_options)
        return cls(spec.bits)

    @torch.jit.unused
    def candidates(self, samples: Samples) -> Iterator[Setting]:
        """Yield the paper's 100 steps, 0.01 to 1.2 of the one that holds the largest value."""
        whole = samples.largest.clamp(min=0) / (self.num_negative - 0.5)
        for factor in torch.linspace(_FIRST, _LAST, _NUM_SCALES, dtype=torch.float64):
            yield Setting(usable_scale(whole * factor))

    @torch.jit.unused
    def levels_of(self, setting: Setting) -> Tensor:
        """Return the negative levels, then 0 and the positive ones, in units of the scale."""
        codes = torch.arange(self.num_negative, dtype=torch.float64)
        return torch.cat([(codes - self.num_negative) * self._negative_step(setting), codes])

    @torch.jit.unused
    def index_of(self, t: Tensor, setting: Setting) -> Tensor:
        """Return the code of each value, 0 for the least."""
        last = self.num_negative
        negative = torch.round(t / self._negative_step(setting)).clamp(-last, 0)
        positive = torch.round(t).clamp(0, last - 1)
        return (torch.where(t < 0, negative, positive) + last).long()

    @torch.jit.unused
    def _negative_step(self, setting: Setting) -> float:
        return GELU_MINIMUM / self.num_negative / float(setting.scale[0])
