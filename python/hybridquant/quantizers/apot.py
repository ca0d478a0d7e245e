"""Sums of two powers of two: weights by two shifts and an addition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from hybridquant.quantizers import QUANTIZERS, Setting
from hybridquant.quantizers.level_fake_quant import LevelFakeQuant, check_spec, shrunk_scales
from hybridquant.samples import Samples
from hybridquant.types import QuantSpec

# Exponents that the first and the second term may have, besides being absent.
_FORMS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "2+1": ((1, 2, 4), (3,)),
    "2+2": ((0, 2, 4), (1, 3, 5)),
    "3+3": (tuple(range(1, 8)), tuple(range(1, 8))),
    "4+3": (tuple(range(1, 16)), tuple(range(1, 8))),
}
# By the bits that are left for a magnitude.
_DEFAULTS = {3: "2+1", 4: "2+2", 5: "2+2", 6: "3+3", 7: "3+3", 8: "3+3"}


@QUANTIZERS.register("apot")
class ApotFakeQuant(LevelFakeQuant):
    """Sums of two powers of two, ``scale * sign * (2^-a + 2^-b)``, each of which may be absent.

    A value gets the nearest level; half-way between two, the one nearer 0. The scale is by least
    squared error. The scheme ``symmetric`` has a sign, ``asymmetric`` none.

    Args:
        bits: Width of a code, 4 to 8.
        form: Bits of the two exponents. ``2+1``: a of 1, 2 and 4, b of 3; ``2+2``: 0, 2, 4 and 1,
            3, 5; ``3+3``: both 1 to 7; ``4+3``: 1 to 15 and 1 to 7. By default ``2+1`` for 3 bits
            besides the sign, ``2+2`` for 4 and 5, ``3+3`` for more.
        is_signed: Whether there are negative levels.
        int8: Leave out magnitudes above 127 steps of the smallest power, of which ``3+3`` has one,
            1: all levels are then int8 codes.
        channel_axis: Axis of the input's channels.
        num_channels: Number of scales.

    Raises:
        ValueError: If the bits do not hold the form.

    Source:
        APoT, arXiv 1909.13144 (``2+2`` is its form for 4 bits); ``3+3`` and ``4+3`` are code forms
        for M2-ViT's two-term levels. Chosen: ``2+1``, the exponents of three bits that have eight
        different sums.

    Example:
        >>> quantizer = ApotFakeQuant(4)
        >>> quantizer.use(Setting(torch.ones(1)))
        >>> quantizer(torch.tensor([-0.7, -0.2, 0.1, 0.36]))
        tensor([-0.6250, -0.1875,  0.1250,  0.3750])
    """

    OPTIONS: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "form": ("auto", *_FORMS, *(f"1+{form}" for form in _FORMS)),
        "int8": (False, True),
    }

    def __init__(
        self,
        bits: int,
        form: str = "auto",
        is_signed: bool = True,
        int8: bool = False,
        channel_axis: int = 0,
        num_channels: int = 1,
    ) -> None:
        room = bits - is_signed
        name = _DEFAULTS.get(room, "2+1") if form == "auto" else form.removeprefix("1+")
        needed = sum(map(int, name.split("+")))
        if needed > room:
            msg = (
                f"ApotFakeQuant: bits must be at least {needed + is_signed} for the form {name}"
                f"{' with a sign' if is_signed else ''}, got {bits}"
            )
            raise ValueError(msg)
        magnitudes = _magnitudes(name, int8)
        negative = -magnitudes[1:].flip(0) if is_signed else magnitudes[:0]
        super().__init__(bits, len(negative) + len(magnitudes), channel_axis, num_channels)
        self._magnitudes = magnitudes.tolist()
        self.is_signed = is_signed

    @classmethod
    def from_spec(cls, spec: QuantSpec, channel_axis: int, num_channels: int) -> ApotFakeQuant:
        """Return an uncalibrated module for ``spec``."""
        check_spec("apot", spec)
        options = cls.check_options(spec.quantizer_options)
        channels = num_channels if spec.granularity == "channel" else 1
        return cls(
            spec.bits,
            is_signed=spec.scheme == "symmetric",
            channel_axis=channel_axis,
            num_channels=channels,
            **options,
        )

    @torch.jit.unused
    def candidates(self, samples: Samples) -> Iterator[Setting]:
        """Yield 81 scales, 2 to 0.2 times each row's magnitude."""
        largest = self._magnitudes[-1]
        return (Setting(scale) for scale in shrunk_scales(samples, largest))

    @torch.jit.unused
    def levels_of(self, setting: Setting) -> Tensor:
        """Return the levels in units of the scale."""
        magnitudes = torch.tensor(self._magnitudes, dtype=torch.float64)
        return torch.cat([-magnitudes[1:].flip(0), magnitudes]) if self.is_signed else magnitudes

    @torch.jit.unused
    def index_of(self, t: Tensor, setting: Setting) -> Tensor:
        """Return the index of the level of each value."""
        magnitudes = torch.tensor(self._magnitudes, dtype=torch.float64)
        middles = (magnitudes[1:] + magnitudes[:-1]) / 2
        steps = torch.searchsorted(middles, t.abs().contiguous())
        if not self.is_signed:
            return steps.where(t > 0, 0)
        return len(middles) + torch.where(t < 0, -steps, steps)


def _magnitudes(form: str, int8: bool) -> Tensor:
    """Return the different sums of a form, float64, ascending from 0."""
    first, second = ([0.0, *(2.0**-e for e in exponents)] for exponents in _FORMS[form])
    sums = torch.tensor(sorted({a + b for a in first for b in second}), dtype=torch.float64)
    step = min(min(first[1:]), min(second[1:]))
    return sums[sums / step <= 127] if int8 else sums
