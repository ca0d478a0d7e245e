"""Affine codes whose scales are powers of two apart: one zero-point, shifts between channels."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hybridquant.quantizers import QUANTIZERS, SelfCalibrating, Setting, Tables
from hybridquant.quantizers.affine import AffineFakeQuant
from hybridquant.quantizers.level_fake_quant import check_spec, usable_scale
from hybridquant.samples import Samples
from hybridquant.types import QuantSpec

# Scales are 2^0 to 2^_LARGEST times the smallest.
_LARGEST = 3


@QUANTIZERS.register("ptf")
class PtfFakeQuant(SelfCalibrating, AffineFakeQuant):
    """Affine codes with the scale ``2^a * s`` in each channel, a of 0 to 3, and one zero-point.

    With the range [low, high] of the whole tensor, widened to hold 0, ``8 s = (high - low) /
    (2^bits - 1)`` and ``zero_point = round(-low / (8 s))``: a = 3 is the affine rule of the tensor.
    Each channel's a is that of least squared error. Learned scales leave the powers of two.

    Args:
        qmin: Smallest code.
        qmax: Largest code.
        channel_axis: Axis of the input's channels.
        num_channels: Number of channels.

    Source:
        FQ-ViT, arXiv 2111.13824, power-of-two factor with K = 3, for inputs of norms. Chosen: all
        batches, where its code takes the last; 0 in the range.

    Example:
        >>> quantizer = PtfFakeQuant(0, 255, 0, 2)
        >>> x = torch.linspace(-1.0, 1.5, 100)
        >>> quantizer.calibrate(Samples.of(torch.stack([x, x / 10])))
        >>> (quantizer.scale / quantizer.scale.min()).tolist(), quantizer.zero_point.tolist()
        ([8.0, 1.0], [102.0, 102.0])
    """

    @classmethod
    def from_spec(cls, spec: QuantSpec, channel_axis: int, num_channels: int) -> PtfFakeQuant:
        """Return an uncalibrated module for ``spec``."""
        check_spec("ptf", spec, scheme="asymmetric", granularity="channel")
        cls.check_options(spec.quantizer_options)
        return cls(spec.qmin, spec.qmax, channel_axis, num_channels)

    @torch.jit.unused
    def candidates(self, samples: Samples) -> Iterator[Setting]:
        """Yield the four scales, the same in every channel."""
        low = float(samples.smallest.min().clamp(max=0))
        high = float(samples.largest.max().clamp(min=0))
        steps = self.qmax - self.qmin
        # Rounded once, to float32, so that all candidates are exact powers of two apart.
        scale = usable_scale(torch.tensor([(high - low) / steps / 2**_LARGEST]))
        whole = float(scale) * 2**_LARGEST
        zero_point = min(self.qmax, max(self.qmin, round(self.qmin - low / whole)))
        zero_points = torch.full_like(self.zero_point, zero_point)
        for power in range(_LARGEST, -1, -1):
            yield Setting((scale * 2**power).expand_as(self.scale), {}, zero_points)

    @torch.jit.unused
    def use(self, setting: Setting) -> None:
        """Take a setting over.

        Raises:
            ValueError: If its scales are not powers of two apart, 1 to 8, its zero-points not one,
                or as ``set_parameters`` has it.
        """
        ratios = setting.scale.double() / setting.scale.double().min()
        zero_point = torch.zeros(1) if setting.zero_point is None else setting.zero_point
        is_one = bool((zero_point == zero_point[0]).all())
        if not bool(torch.isin(ratios, torch.exp2(torch.arange(_LARGEST + 1.0))).all()):
            msg = f"PtfFakeQuant.use: scale must be 1, 2, 4 or 8 times the least, got {ratios}"
            raise ValueError(msg)
        if setting.zero_point is None or not is_one:
            msg = f"PtfFakeQuant.use: zero_point must be one for all channels, got {zero_point}"
            raise ValueError(msg)
        self.set_parameters(setting.scale, setting.zero_point)

    @torch.jit.unused
    def setting(self) -> Setting:
        """Return the setting in use."""
        return Setting(self.scale.detach().clone(), {}, self.zero_point.detach().clone())

    @torch.jit.unused
    def error_of(self, setting: Setting, samples: Samples, cache: Tables) -> Tensor:
        """Return the squared error of each row."""
        assert setting.zero_point is not None
        codes = torch.arange(self.qmin, self.qmax + 1, dtype=torch.float64)
        levels = codes - float(setting.zero_point[0])
        return samples.squared_error(levels, levels[:-1] + 0.5, setting.scale)
