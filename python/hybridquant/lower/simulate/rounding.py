"""Requantization in torch int64, as docs/arithmetic.md has it."""

from __future__ import annotations

import torch
from torch import Tensor

_SPLIT = 16


def requantize(sums: Tensor, m: Tensor | int, shift: Tensor | int) -> Tensor:
    """Return ``(sums * m + 2^(shift - 1)) >> shift``, rule SINGLE.

    Args:
        sums: int64, below 2^47 in magnitude.
        m: Multipliers below 2^31 in magnitude that broadcast with ``sums``.
        shift: 1 to 62, of the same shape; the result is below 2^62 in magnitude.
    """
    m, shift = torch.as_tensor(m).long(), torch.as_tensor(shift).long()
    half = torch.ones_like(shift) << (shift - 1)
    # The product may take more than 64 bits: that of the low bits is carried into the high one.
    split = shift.clamp(max=_SPLIT)
    high, low = sums >> split, sums & ((1 << split) - 1)
    result: Tensor = (high * m + ((low * m + half) >> split)) >> (shift - split)
    return result


def floor_divide(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a // b`` rounded towards minus infinity."""
    return torch.div(a, b, rounding_mode="floor")
