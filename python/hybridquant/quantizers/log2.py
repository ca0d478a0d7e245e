"""Powers of two of an activation that is not negative: attention by shifts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from hybridquant.quantizers import QUANTIZERS, Setting
from hybridquant.quantizers.level_fake_quant import (
    LevelFakeQuant,
    are_shares,
    check_spec,
    usable_scale,
)
from hybridquant.samples import Samples
from hybridquant.types import QuantSpec

# Powers of two that are tried below the one that holds every value; chosen.
_OCTAVES = 3


@QUANTIZERS.register("log2")
class Log2FakeQuant(LevelFakeQuant):
    """Powers of two for shares: the value of code k is ``scale * 2^-k``, and one code is 0.

    ``k = max(0, round(-log2(x / scale)))``; codes past the end mean zero. The scale is 1 for values
    of 0 to 1, as behind a softmax, else the best of three powers of two.

    Args:
        bits: Width of a code, 2 to 8.
        rounding: ``log``, as above, or ``lis``: with ``R = round(scale / x)`` and
            ``k = floor(log2 R)``, one more if ``R - 2^k >= 2^(k-1)``.
        zero: ``extra``: codes 0 to ``2^bits - 1`` are powers and zero is one more, as in the
            released code; ``last``: the last of ``2^bits`` codes is zero.
        channel_axis: Axis of the input's channels.
        num_channels: Number of scales.

    Source:
        FQ-ViT, arXiv 2111.13824, log-int-softmax (``lis``); ``last`` is what fits the bits.

    Example:
        >>> quantizer = Log2FakeQuant(4)
        >>> quantizer.use(Setting(torch.ones(1)))
        >>> quantizer(torch.tensor([0.8, 0.7, 0.3, 1e-5]))
        tensor([1.0000, 0.5000, 0.2500, 0.0000])
    """

    OPTIONS: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "rounding": ("log", "lis"),
        "zero": ("extra", "last"),
    }

    def __init__(
        self,
        bits: int,
        rounding: str = "log",
        zero: str = "extra",
        channel_axis: int = 0,
        num_channels: int = 1,
    ) -> None:
        self.num_powers = (1 << bits) - (zero == "last")
        super().__init__(bits, self.num_powers + 1, channel_axis, num_channels)
        self.rounding = rounding

    @classmethod
    def from_spec(cls, spec: QuantSpec, channel_axis: int, num_channels: int) -> Log2FakeQuant:
        """Return an uncalibrated module for ``spec``."""
        check_spec("log2", spec)
        options = cls.check_options(spec.quantizer_options)
        channels = num_channels if spec.granularity == "channel" else 1
        return cls(spec.bits, channel_axis=channel_axis, num_channels=channels, **options)

    @torch.jit.unused
    def candidates(self, samples: Samples) -> Iterator[Setting]:
        """Yield the scale 1 for shares, else three powers of two."""
        if are_shares(samples):
            yield Setting(torch.ones_like(self.scale))
            return
        exponent = usable_scale(samples.magnitude).log2().ceil()
        for octave in range(_OCTAVES):
            yield Setting(usable_scale(torch.exp2(exponent - octave)))

    @torch.jit.unused
    def levels_of(self, setting: Setting) -> Tensor:
        """Return 0 and the powers of two, in units of the scale."""
        powers = torch.exp2(-torch.arange(self.num_powers, dtype=torch.float64)).flip(0)
        return torch.cat([powers.new_zeros(1), powers])

    @torch.jit.unused
    def index_of(self, t: Tensor, setting: Setting) -> Tensor:
        """Return the index of the level of each value."""
        positive = t.where(t > 0, 1.0)
        if self.rounding == "log":
            code = torch.round(-positive.log2()).clamp(min=0)
        else:
            ratio = torch.round(1 / positive).clamp(min=1)
            k = torch.frexp(ratio).exponent - 1
            code = k + (ratio - torch.exp2(k.double()) >= torch.exp2(k.double() - 1))
        return (self.num_powers - code.where(t > 0, self.num_powers)).clamp(min=0).long()
