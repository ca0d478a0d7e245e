"""Two uniform ranges for the shares of a softmax."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from hybridquant.quantizers import QUANTIZERS, Setting
from hybridquant.quantizers.level_fake_quant import LevelFakeQuant, check_spec
from hybridquant.samples import Samples
from hybridquant.types import QuantSpec

_SPLITS = tuple(2.0**-i for i in range(20))


@QUANTIZERS.register("twin_softmax")
class TwinSoftmaxFakeQuant(LevelFakeQuant):
    """Two uniform ranges for shares: fine steps below a split, coarse ones up to 1.

    The first bit of a code says which. Below ``split`` the step is ``split / m``, from it on
    ``1 / m``, with ``m = 2^(bits-1) - 1``. The split is a power of two, by least squared error.

    Args:
        bits: Width of a code, 2 to 8.
        branches: ``select`` one of the ranges, or ``add`` what both make of the value, cut to each.

    Source:
        PTQ4ViT, arXiv 2111.12293. Its released code adds, which counts ``split`` twice.

    Example:
        >>> quantizer = TwinSoftmaxFakeQuant(3)
        >>> quantizer.use(Setting(torch.ones(1), {"split": 0.25}))
        >>> quantizer(torch.tensor([0.05, 0.2, 0.3, 0.8]))
        tensor([0.0833, 0.1667, 0.3333, 0.6667])
    """

    CHOICES: ClassVar[tuple[str, ...]] = ("split",)

    OPTIONS: ClassVar[Mapping[str, tuple[Any, ...]]] = {"branches": ("select", "add")}

    def __init__(self, bits: int, branches: str = "select") -> None:
        super().__init__(bits, 1 << bits)
        self.branches = branches

    @classmethod
    def from_spec(
        cls, spec: QuantSpec, channel_axis: int, num_channels: int
    ) -> TwinSoftmaxFakeQuant:
        """Return an uncalibrated module for ``spec``."""
        check_spec("twin_softmax", spec, granularity="tensor")
        return cls(spec.bits, **cls.check_options(spec.quantizer_options))

    @torch.jit.unused
    def candidates(self, samples: Samples) -> Iterator[Setting]:
        """Yield the paper's twenty splits, 1 to 2^-19."""
        for split in _SPLITS:
            yield Setting(torch.ones(1), {"split": split})

    @torch.jit.unused
    def levels_of(self, setting: Setting) -> Tensor:
        """Return the levels of both ranges one behind the other."""
        last, split = (1 << (self.bits - 1)) - 1, setting.choices["split"]
        coarse = torch.arange(last + 1, dtype=torch.float64) / last
        if self.branches == "select":
            return torch.cat([coarse * split, coarse])
        return torch.cat([coarse * split + round(split * last) / last, coarse + split])

    @torch.jit.unused
    def index_of(self, t: Tensor, setting: Setting) -> Tensor:
        """Return the code of each value."""
        last, split = (1 << (self.bits - 1)) - 1, setting.choices["split"]
        fine = torch.round(t * (last / split)).clamp(0, last)
        coarse = torch.round(t * last).clamp(0, last) + last + 1
        return torch.where(t >= split, coarse, fine).long()
