"""Requantization in torch int64, as docs/arithmetic.md has it."""

from __future__ import annotations

import torch
from torch import Tensor

_SPLIT = 24


def requantize(sums: Tensor, m: Tensor | int, shift: Tensor | int) -> Tensor:
    """Return ``(sums * m + 2^(shift - 1)) >> shift``, rule SINGLE.

    Args:
        sums: int64, below 2^47 in magnitude.
        m: int64 multipliers that broadcast with ``sums``.
        shift: 1 to 62; at least 24 where sums reach 2^31.
    """
    m, shift = torch.as_tensor(m).long(), torch.as_tensor(shift).long()
    half = torch.ones_like(shift) << (shift - 1)
    if int(sums.abs().max()) < 2**31:
        single: Tensor = (sums * m + half) >> shift
        return single
    # The product takes more than 64 bits: its low part is carried into the high one.
    assert int(shift.min()) >= _SPLIT
    high, low = sums >> _SPLIT, sums & (2**_SPLIT - 1)
    carry = (low * m + half) >> _SPLIT
    result: Tensor = (high * m + carry) >> (shift - _SPLIT)
    return result


def floor_divide(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a // b`` rounded towards minus infinity."""
    return torch.div(a, b, rounding_mode="floor")
