"""Powers of a base that is chosen for each tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from hybridquant.quantizers import QUANTIZERS, Setting, Tables
from hybridquant.quantizers.level_fake_quant import (
    GELU_MINIMUM,
    LevelFakeQuant,
    are_shares,
    check_spec,
    usable_scale,
)
from hybridquant.samples import Samples
from hybridquant.types import QuantSpec

# Bases are 2^(q/37).
_R = 37
_BASES = range(10, 138)
# Where a scale is searched too: every fourth base, and 8 parts of the largest value. Chosen.
_BASE_STEP = 4
_SCALES = tuple(part / 10 for part in range(10, 2, -1))


@QUANTIZERS.register("adalog")
class AdaLogFakeQuant(LevelFakeQuant):
    """Powers of ``2^(q/37)``, q from 10 to 137 chosen for each tensor, times a scale.

    ``code = max(0, round(-log2(x / scale) * 37 / q))``; its value is a shift by
    ``floor(code * q / 37)`` of a table's entry, ``2^(-((code * q) mod 37) / 37)`` rounded to
    multiples of ``1 / (2^(bits+1) - 2)``. Codes past the end mean zero. Base (and scale, which is 1
    for values of 0 to 1) by least squared error.

    Args:
        bits: Width of a code, 2 to 8.
        shift: Add 0.16997124, minus the least value of GELU, first, and take it off afterwards.
        zero: ``extra``: codes 0 to ``2^bits - 1`` are powers and zero is one more, as in the
            released code; ``last``: the last of ``2^bits`` codes is zero.
        channel_axis: Axis of the input's channels.
        num_channels: Number of scales; 1 with ``shift``.

    Source:
        AdaLog, arXiv 2407.12951. Chosen: the squared error of the tensor instead of that of the
        layer's output, and a grid of bases and scales instead of the progressive search.

    Example:
        >>> quantizer = AdaLogFakeQuant(4)
        >>> quantizer.use(Setting(torch.ones(1), {"q": 37}))
        >>> quantizer(torch.tensor([0.8, 0.7, 0.3, 1e-5]))
        tensor([1.0000, 0.5000, 0.2500, 0.0000])
    """

    OPTIONS: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "shift": (False, True),
        "zero": ("extra", "last"),
    }
    CHOICES: ClassVar[tuple[str, ...]] = ("q",)

    def __init__(
        self,
        bits: int,
        shift: bool = False,
        zero: str = "extra",
        channel_axis: int = 0,
        num_channels: int = 1,
    ) -> None:
        self.num_powers = (1 << bits) - (zero == "last")
        super().__init__(bits, self.num_powers + 1, channel_axis, num_channels)
        self.shift = GELU_MINIMUM if shift else 0.0

    @classmethod
    def from_spec(cls, spec: QuantSpec, channel_axis: int, num_channels: int) -> AdaLogFakeQuant:
        """Return an uncalibrated module for ``spec``."""
        options = cls.check_options(spec.quantizer_options)
        check_spec("adalog", spec, granularity="tensor" if options["shift"] else None)
        channels = num_channels if spec.granularity == "channel" else 1
        return cls(spec.bits, channel_axis=channel_axis, num_channels=channels, **options)

    @torch.jit.unused
    def candidates(self, samples: Samples) -> Iterator[Setting]:
        """Yield every base; every fourth with eight scales each where values are no shares."""
        if are_shares(samples) and not self.shift:
            for q in _BASES:
                yield Setting(torch.ones_like(self.scale), {"q": q})
            return
        for q in _BASES[::_BASE_STEP]:
            for part in _SCALES:
                scale = usable_scale((samples.largest + self.shift) * part)
                yield Setting(scale, {"q": q})

    @torch.jit.unused
    def levels_of(self, setting: Setting) -> Tensor:
        """Return 0 and the powers less the shift, in units of the scale."""
        steps = torch.arange(self.num_powers) * int(setting.choices["q"])
        steps_of_one = (1 << (self.bits + 1)) - 2
        fraction = torch.exp2(-(steps % _R).double() / _R)
        table = torch.round(fraction * steps_of_one) / steps_of_one
        powers = (table * torch.exp2(-(steps // _R).double())).flip(0)
        return torch.cat([powers.new_zeros(1), powers]) - self._shift(setting)

    @torch.jit.unused
    def index_of(self, t: Tensor, setting: Setting) -> Tensor:
        """Return the index of the level of each value."""
        t = t + self._shift(setting)
        exponent = -t.where(t > 0, 1.0).log2() * _R / setting.choices["q"]
        code = torch.round(exponent).clamp(min=0)
        return (self.num_powers - code.where(t > 0, self.num_powers)).clamp(min=0).long()

    @torch.jit.unused
    def tables(self, setting: Setting) -> tuple[Tensor, Tensor]:
        """Return levels and thresholds in units of the scale, float32."""
        q = setting.choices["q"]
        if q not in _BASES:
            msg = f"AdaLogFakeQuant: q must be an integer in [10, 137], got {q}"
            raise ValueError(msg)
        return super().tables(setting)

    @torch.jit.unused
    def error_of(self, setting: Setting, samples: Samples, cache: Tables) -> Tensor:
        """Return the squared error of each row; with a shift its levels depend on the scale."""
        return super().error_of(setting, samples, {} if self.shift else cache)

    @torch.jit.unused
    def _shift(self, setting: Setting) -> float:
        return self.shift / float(setting.scale[0])
