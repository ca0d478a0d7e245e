"""Inputs that the tests of the affine ops share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
CODES = ((0, 255), (-128, 127), (0, 15), (-2, 1), (0, 3), (-32768, 32767), (0, 65535))


@dataclass(frozen=True)
class Case:
    """A shape and its channel axis; per tensor when that is None."""

    shape: tuple[int, ...]
    axis: int | None = None
    codes: tuple[int, int] = (0, 255)

    @property
    def channels(self) -> int:
        return 1 if self.axis is None else self.shape[self.axis]

    @property
    def channel_axis(self) -> int:
        return 0 if self.axis is None else self.axis

    def parameters(self) -> tuple[Tensor, Tensor]:
        """Return scales and integer zero-points, different in each channel."""
        qmin, qmax = self.codes
        steps = torch.arange(self.channels)
        scale = 0.013 * (steps % 7 + 1)
        zero_point = qmin + (qmax - qmin) * (steps % 3) // 3
        return scale.float(), zero_point.float()

    def inputs(self, dtype: torch.dtype = torch.float32, has_ties: bool = True) -> Tensor:
        """Return values over several times the range of the codes, one in ten a tie."""
        generator = torch.Generator().manual_seed(sum(self.shape) + self.channels)
        qmin, qmax = self.codes
        x = torch.randn(self.shape, generator=generator) * (qmax - qmin) * 0.02
        if not has_ties:
            return x.to(dtype)
        ties = (torch.randint(-9, 9, self.shape, generator=generator) + 0.5) * 0.013
        return torch.where(torch.rand(self.shape, generator=generator) < 0.1, ties, x).to(dtype)


CASES = [
    *(Case((n,)) for n in (1, 15, 16, 17, 31, 33, 5000)),
    *(Case((2, 5, 7), axis, (-128, 127)) for axis in (None, 0, 1, 2, -1, -3)),
    *(Case((3, 4, 9, 11), axis) for axis in (0, 1, 2, 3)),
    Case((70, 3), 1, (-8, 7)),
    Case((33, 100), -1, (-8, 7)),
    Case((2, 3, 2100), 1),
    Case((), None),
    Case((0,), None),
    Case((0, 3), 1),
    Case((2, 3, 0), 1),
    *(Case((3, 50), 0, codes) for codes in CODES),
]

# torch's per-channel op does not take empty tensors.
TORCH_CASES = [case for case in CASES if case.axis is None or 0 not in case.shape]


def bits(x: Tensor) -> Tensor:
    """Return the bits of floats as integers, so that -0 is not 0."""
    return x.contiguous().view({2: torch.int16, 4: torch.int32}[x.element_size()])
