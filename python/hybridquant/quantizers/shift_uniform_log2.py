"""Powers of two whose exponents come from a uniform grid, of a shifted activation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from hybridquant.quantizers import QUANTIZERS, Setting
from hybridquant.quantizers.level_fake_quant import LevelFakeQuant, check_spec
from hybridquant.samples import Samples
from hybridquant.types import QuantSpec

_ETAS = (0.001, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.2, 0.5, 1.0)
# Exponents closer than this are one; chosen.
_SMALLEST_STEP = 2.0**-10


@QUANTIZERS.register("shift_uniform_log2")
class ShiftUniformLog2FakeQuant(LevelFakeQuant):
    """Quantizes ``log2(x + eta)`` uniformly over its range, and rounds the exponent afterwards.

    With ``step = (high - low) / (2^bits - 1)`` and ``z = round(-low / step)`` the value of code c,
    ``clamp(round(log2(x + eta) / step) + z, 0, 2^bits - 1)``, is ``2^round((c - z) step) - eta``.
    ``low`` and ``high`` are the logarithms of the smallest and the largest value; eta by least
    squared error.

    Args:
        bits: Width of a code, 2 to 8.
        extra_level: Codes end at ``2^bits`` instead, as in the released code, which is one level
            more than the bits hold.

    Source:
        I&S-ViT, arXiv 2311.10126.

    Example:
        >>> quantizer = ShiftUniformLog2FakeQuant(2)
        >>> quantizer.use(Setting(torch.ones(1), {"eta": 0.5, "low": -1.0, "high": 2.0}))
        >>> quantizer(torch.tensor([0.0, 0.4, 1.0, 3.0]))
        tensor([0.0000, 0.5000, 1.5000, 3.5000])
    """

    OPTIONS: ClassVar[Mapping[str, tuple[Any, ...]]] = {"extra_level": (False, True)}
    CHOICES: ClassVar[tuple[str, ...]] = ("eta", "low", "high")

    def __init__(self, bits: int, extra_level: bool = False) -> None:
        super().__init__(bits, (1 << bits) + extra_level)

    @classmethod
    def from_spec(
        cls, spec: QuantSpec, channel_axis: int, num_channels: int
    ) -> ShiftUniformLog2FakeQuant:
        """Return an uncalibrated module for ``spec``."""
        check_spec("shift_uniform_log2", spec, granularity="tensor")
        return cls(spec.bits, **cls.check_options(spec.quantizer_options))

    @torch.jit.unused
    def candidates(self, samples: Samples) -> Iterator[Setting]:
        """Yield the paper's eleven etas, each with the range of its exponents."""
        smallest, largest = float(samples.smallest.clamp(min=0)), float(samples.largest)
        for eta in _ETAS:
            low, high = (
                float(torch.tensor(max(value, 0.0) + eta, dtype=torch.float64).log2())
                for value in (smallest, largest)
            )
            yield Setting(torch.ones(1), {"eta": eta, "low": low, "high": high})

    @torch.jit.unused
    def levels_of(self, setting: Setting) -> Tensor:
        """Return the powers of two less eta."""
        step, zero_point = self._grid(setting)
        codes = torch.arange(self.levels.numel(), dtype=torch.float64)
        return torch.exp2(torch.round((codes - zero_point) * step)) - setting.choices["eta"]

    @torch.jit.unused
    def index_of(self, t: Tensor, setting: Setting) -> Tensor:
        """Return the code of each value."""
        step, zero_point = self._grid(setting)
        shifted = t + setting.choices["eta"]
        exponent = shifted.where(shifted > 0, 2.0**-200).log2()
        code = torch.round(exponent / step) + zero_point
        return code.clamp(0, self.levels.numel() - 1).long()

    @torch.jit.unused
    def _grid(self, setting: Setting) -> tuple[float, int]:
        low, high = setting.choices["low"], setting.choices["high"]
        step = max((high - low) / ((1 << self.bits) - 1), _SMALLEST_STEP)
        return step, round(-low / step)
