"""Requantization in torch int64, as docs/arithmetic.md has it."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridquant.lower.int_graph import IntNode

_SPLIT = 16
_INT32 = torch.iinfo(torch.int32)


def requantize(
    sums: Tensor, m: Tensor | int, shift: Tensor | int, rounding: str = "single"
) -> Tensor:
    """Return ``sums * m / 2^shift``, rounded.

    Args:
        sums: int64, below 2^47 in magnitude.
        m: Multipliers below 2^31 in magnitude that broadcast with ``sums``.
        shift: 1 to 62, of the same shape; the result is below 2^62 in magnitude.
        rounding: ``single``, ``half_even`` or ``double``, a rule of docs/arithmetic.md.
    """
    m, shift = torch.as_tensor(m).long(), torch.as_tensor(shift).long()
    if rounding == "double":
        return _round_twice(sums, m, shift - 31)
    half = torch.ones_like(shift) << (shift - 1)
    result = _shifted(sums, m, shift, half)
    if rounding == "half_even":
        # The low 64 bits of a product are exact.
        result = to_even(result, sums * m, shift)
    return result


def to_even(rounded: Tensor, products: Tensor, shift: Tensor) -> Tensor:
    """Return what was rounded with halves up with halves to the even integer.

    Args:
        rounded: ``(products + 2^(shift - 1)) >> shift``.
        products: At least their low 62 bits.
        shift: 1 to 62.
    """
    one = torch.ones_like(shift)
    is_half = (products & ((one << shift) - 1)) == one << (shift - 1)
    return rounded - (is_half & (rounded % 2 == 1)).long()


def rounding_of(node: IntNode) -> str:
    """Return the rule by which a node rounds."""
    return str(node.attributes.get("rounding", "single"))


def floor_divide(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a // b`` rounded towards minus infinity."""
    return torch.div(a, b, rounding_mode="floor")


def _shifted(sums: Tensor, m: Tensor, shift: Tensor, addend: Tensor) -> Tensor:
    """Return ``(sums * m + addend) >> shift`` for a product that may take more than 64 bits."""
    # That of the low bits is carried into the high one.
    split = shift.clamp(max=_SPLIT)
    high, low = sums >> split, sums & ((1 << split) - 1)
    result: Tensor = (high * m + ((low * m + addend) >> split)) >> (shift - split)
    return result


def _round_twice(sums: Tensor, m: Tensor, right: Tensor) -> Tensor:
    """Return ``sums * m / 2^(31 + right)``, rounded at 2^31 and then at 2^right."""
    left = (-right).clamp(min=0)
    saturated = (sums.clamp(_INT32.min, _INT32.max) << left).clamp(_INT32.min, _INT32.max)
    sums, right = torch.where(left > 0, saturated, sums), right.clamp(min=0)
    # Halves go up, so those of a negative product to the smaller magnitude.
    is_negative = (sums < 0) != (m < 0)
    nudge = torch.where(is_negative, 2**30 - 1, 2**30)
    magnitude = _shifted(sums.abs(), m.abs(), torch.full_like(nudge, 31), nudge)
    high = torch.where(is_negative, -magnitude, magnitude)
    mask = (1 << right) - 1
    threshold = (mask >> 1) + (high < 0).long()
    return (high >> right) + ((high & mask) > threshold).long()
