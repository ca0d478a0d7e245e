"""Powers of the square root of two of an activation that is not negative."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from hybridquant.quantizers import QUANTIZERS, Setting
from hybridquant.quantizers.level_fake_quant import LevelFakeQuant, check_spec, usable_scale
from hybridquant.samples import Samples
from hybridquant.types import QuantSpec

_FRACTIONS = (0.999, 0.9999, 0.99999)


@QUANTIZERS.register("log_sqrt2")
class LogSqrt2FakeQuant(LevelFakeQuant):
    """Powers of the square root of two: the value of code q is ``scale * 2^(-q/2)``.

    ``q = max(0, round(-2 log2(x / scale)))``; codes past the end mean zero. The scale is one of the
    quantiles 0.999, 0.9999 and 0.99999, by least squared error.

    Args:
        bits: Width of a code, 2 to 8.
        zero: ``extra``: codes 0 to ``2^bits - 1`` are powers and zero is one more, as in the
            released code; ``last``: the last of ``2^bits`` codes is zero.
        channel_axis: Axis of the input's channels.
        num_channels: Number of scales.

    Source:
        RepQ-ViT, arXiv 2212.08254.

    Example:
        >>> quantizer = LogSqrt2FakeQuant(4)
        >>> quantizer.use(Setting(torch.ones(1)))
        >>> quantizer(torch.tensor([0.9, 0.7, 0.3, 0.003]))
        tensor([1.0000, 0.7071, 0.3536, 0.0000])
    """

    OPTIONS: ClassVar[Mapping[str, tuple[Any, ...]]] = {"zero": ("extra", "last")}

    def __init__(
        self, bits: int, zero: str = "extra", channel_axis: int = 0, num_channels: int = 1
    ) -> None:
        self.num_powers = (1 << bits) - (zero == "last")
        super().__init__(bits, self.num_powers + 1, channel_axis, num_channels)

    @classmethod
    def from_spec(cls, spec: QuantSpec, channel_axis: int, num_channels: int) -> LogSqrt2FakeQuant:
        """Return an uncalibrated module for ``spec``."""
        check_spec("log_sqrt2", spec)
        options = cls.check_options(spec.quantizer_options)
        channels = num_channels if spec.granularity == "channel" else 1
        return cls(spec.bits, channel_axis=channel_axis, num_channels=channels, **options)

    @torch.jit.unused
    def candidates(self, samples: Samples) -> Iterator[Setting]:
        """Yield the three quantiles as scales."""
        for fraction in _FRACTIONS:
            yield Setting(usable_scale(samples.quantile(fraction)))

    @torch.jit.unused
    def levels_of(self, setting: Setting) -> Tensor:
        """Return 0 and the powers, in units of the scale."""
        powers = torch.exp2(-torch.arange(self.num_powers, dtype=torch.float64) / 2).flip(0)
        return torch.cat([powers.new_zeros(1), powers])

    @torch.jit.unused
    def index_of(self, t: Tensor, setting: Setting) -> Tensor:
        """Return the index of the level of each value."""
        code = torch.round(-2 * t.where(t > 0, 1.0).log2()).clamp(min=0)
        return (self.num_powers - code.where(t > 0, self.num_powers)).clamp(min=0).long()
