"""Powers of two with a sign: weights by shifts."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hybridquant.quantizers import QUANTIZERS, Setting
from hybridquant.quantizers.level_fake_quant import LevelFakeQuant, check_spec, shrunk_scales
from hybridquant.samples import Samples
from hybridquant.types import QuantSpec


@QUANTIZERS.register("pot")
class PotFakeQuant(LevelFakeQuant):
    """Powers of two with a sign, ``scale * sign * 2^-p``, and 0.

    ``p = max(0, round(-log2(|x| / scale)))`` up to ``2^(bits-1) - 2``; beyond it the value is 0.
    Chosen: that it is 0 there (a formula that clamps p would have 0 for nothing but 0).

    Args:
        bits: Width of a code, 2 to 8.
        channel_axis: Axis of the input's channels.
        num_channels: Number of scales.

    Source:
        The plain power-of-two quantizer that M2-ViT's two terms are compared with.

    Example:
        >>> quantizer = PotFakeQuant(4)
        >>> quantizer.use(Setting(torch.ones(1)))
        >>> quantizer(torch.tensor([-2.0, -0.4, 0.1, 0.012]))
        tensor([-1.0000, -0.5000,  0.1250,  0.0156])
    """

    def __init__(self, bits: int, channel_axis: int = 0, num_channels: int = 1) -> None:
        self.num_powers = (1 << (bits - 1)) - 1
        super().__init__(bits, 2 * self.num_powers + 1, channel_axis, num_channels)

    @classmethod
    def from_spec(cls, spec: QuantSpec, channel_axis: int, num_channels: int) -> PotFakeQuant:
        """Return an uncalibrated module for ``spec``."""
        check_spec("pot", spec, scheme="symmetric")
        cls.check_options(spec.quantizer_options)
        channels = num_channels if spec.granularity == "channel" else 1
        return cls(spec.bits, channel_axis, channels)

    @torch.jit.unused
    def candidates(self, samples: Samples) -> Iterator[Setting]:
        """Yield 81 scales, 2 to 0.2 times each row's magnitude."""
        return (Setting(scale) for scale in shrunk_scales(samples, 1.0))

    @torch.jit.unused
    def levels_of(self, setting: Setting) -> Tensor:
        """Return the levels in units of the scale."""
        powers = torch.exp2(-torch.arange(self.num_powers, dtype=torch.float64))
        return torch.cat([-powers, powers.new_zeros(1), powers.flip(0)])

    @torch.jit.unused
    def index_of(self, t: Tensor, setting: Setting) -> Tensor:
        """Return the index of the level of each value."""
        code = torch.round(-t.abs().where(t != 0, 1.0).log2()).clamp(0, self.num_powers)
        steps = self.num_powers - code.where(t != 0, self.num_powers)
        return (self.num_powers + torch.sign(t) * steps).long()
