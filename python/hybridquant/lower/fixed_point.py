"""Scales into the integers of nodes: multipliers, shifts and tables.

docs/arithmetic.md says what the nodes compute with them. float64 here; nothing is rounded twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# Exponentials of the softmax table: 2^16 stands for 1.
SOFTMAX_BITS = 16
# Fraction bits of a normalised value, before gamma and beta.
NORM_BITS = 20
_LARGEST_SHIFT = 62
_BETA_BITS = 61
_EPSILON_BITS = 62
_FEW_BITS = 16


def multiplier(factor: float, bits: int = 31) -> tuple[int, int]:
    """Return m and shift with ``factor ~ m / 2^shift``.

    ``factor = f 2^e`` with f in [0.5, 1) gives ``m = rint(f 2^bits)``, ``shift = bits - e``, so the
    relative error is at most ``2^-bits``. Where m would be ``2^bits`` it is halved; where the shift
    would pass ``2 bits`` it stays there, and m is smaller and less exact.

    Args:
        factor: Above 0, below ``2^(bits - 1)``.
        bits: Of m: 31, or 15 for quotients.

    Returns:
        (m, shift), with m below ``2^bits`` and shift from 1 to ``2 bits``.

    Raises:
        ValueError: If ``factor`` is not in that range.

    Example:
        >>> multiplier(0.75)
        (1610612736, 31)
        >>> multiplier(0.75, bits=15)
        (24576, 15)
    """
    if not 0 < factor < 2.0 ** (bits - 1):
        msg = f"multiplier: factor must be above 0 and below 2^{bits - 1}, got {factor}"
        raise ValueError(msg)
    (m,), shift = _common([factor], bits)
    if shift < 1:
        msg = f"multiplier: factor must be below 2^{bits - 1}, got {factor}"
        raise ValueError(msg)
    return m, shift


def multipliers(factors: Tensor) -> tuple[Tensor, Tensor]:
    """Return m and shift of each factor, int32 of the shape of ``factors``.

    Args:
        factors: float64, each as in ``multiplier``.

    Raises:
        ValueError: If a factor is out of range.
    """
    pairs = [multiplier(factor) for factor in factors.flatten().tolist()]
    both = torch.tensor(pairs, dtype=torch.int32).reshape(*factors.shape, 2)
    return both[..., 0].contiguous(), both[..., 1].contiguous()


def common_multipliers(factors: Tensor) -> tuple[Tensor, int]:
    """Return m of each factor, and one shift for all: ``factors ~ m / 2^shift``.

    The shift is the one that ``multiplier`` finds for the largest magnitude.

    Args:
        factors: float64, of either sign, zeros among them, below 2^30.

    Returns:
        (m, shift): int32 of the shape of ``factors``, and 1 to 62; the shift is 62 where all are 0.

    Raises:
        ValueError: If a factor is not finite, or the largest is 2^30 or more.

    Example:
        >>> common_multipliers(torch.tensor([0.75, -0.25, 0.0], dtype=torch.float64))
        (tensor([1610612736, -536870912,          0], dtype=torch.int32), 31)
    """
    m, shift = _common(factors.flatten().tolist(), bits=31)
    if shift < 1:
        largest = float(factors.abs().max())
        msg = f"common_multipliers: factors must be below 2^30, got {largest}"
        raise ValueError(msg)
    return torch.tensor(m, dtype=torch.int32).reshape(factors.shape), shift


def check_requantized(largest: int, m: int, shift: int) -> None:
    """Check that a requantization stays within 64 bits.

    Args:
        largest: Largest magnitude that is requantized, below 2^47.
        m: The multiplier.
        shift: Its shift.

    Raises:
        ValueError: If a result may reach 2^61, or its product more than 64 bits hold.
    """
    is_narrow = largest < 2**32 or shift >= _FEW_BITS
    if not is_narrow or (largest * abs(m)) >> shift >= 2**61:
        msg = (
            f"check_requantized: numbers up to {largest} must stay below 2^61 when multiplied by "
            f"{m} / 2^{shift}, and below 2^32 for shifts below {_FEW_BITS}; use fewer bits"
        )
        raise ValueError(msg)


def _common(
    factors: list[float], bits: int, largest_shift: int | None = None
) -> tuple[list[int], int]:
    """Return multipliers for the shift of the largest factor; the shift is below 1 if too large."""
    if not all(math.isfinite(factor) for factor in factors):
        msg = f"common_multipliers: factors must be finite, got {factors}"
        raise ValueError(msg)
    largest = max((abs(factor) for factor in factors), default=0.0)
    limit = 2 * bits if largest_shift is None else largest_shift
    shift = min(bits - math.frexp(largest)[1], limit) if largest > 0 else limit
    if round(math.ldexp(largest, shift)) == 1 << bits:
        shift -= 1
    return [round(math.ldexp(factor, shift)) for factor in factors], shift


def softmax_table(scale: float, count: int = 256) -> Tensor:
    """Return ``rint(2^16 exp(-scale d))`` for d = 0 to ``count - 1``, int32.

    Args:
        scale: Of the logits, above 0.
        count: How many codes the logits have.

    Example:
        >>> softmax_table(2.0, 4).tolist()
        [65536, 8869, 1200, 162]
    """
    distances = torch.arange(count, dtype=torch.float64) * -scale
    return torch.round(torch.exp(distances) * 2**SOFTMAX_BITS).to(torch.int32)


@dataclass(frozen=True)
class NormParameters:
    """Integers of a normalisation.

    Args:
        m: Of each channel, int32: ``gamma / (2^20 scale) ~ m / 2^shift``.
        beta: Of each channel, int64: ``rint(2^shift beta / scale)``, below 2^61 in magnitude.
        shift: 1 to 62, for all channels.
        epsilon: At least 1: what is added to V.
    """

    m: Tensor
    beta: Tensor
    shift: int
    epsilon: int


def norm_parameters(
    gamma: Tensor, beta: Tensor, epsilon: float, count: int, scale_in: float, scale_out: float
) -> NormParameters:
    """Return the integers of a layer, group or root-mean-square norm.

    The shift is the one of the largest gamma, or less where beta would not fit.

    Args:
        gamma: Of each channel, any sign, finite.
        beta: Of each channel, finite, same shape.
        epsilon: Added to the variance, as in the float operator.
        count: Codes that are normalised together.
        scale_in: Of the input's codes.
        scale_out: Of the output's codes.

    Raises:
        ValueError: If gamma or beta is too large for ``scale_out``, or epsilon for ``scale_in``.
    """
    factors = gamma.double() / (scale_out * 2**NORM_BITS)
    offsets = beta.double() / scale_out
    if not bool(factors.isfinite().all() and offsets.isfinite().all()):
        msg = f"norm_parameters: gamma and beta must be finite, got {gamma} and {beta}"
        raise ValueError(msg)
    # |offset| < 2^e, so that e + shift <= 61 keeps it below 2^61.
    largest = min(_LARGEST_SHIFT, _BETA_BITS - math.frexp(float(offsets.abs().max()))[1])
    m, shift = _common(factors.tolist(), 31, largest)
    if shift < 1:
        msg = (
            "norm_parameters: gamma and beta must be below 2^50 and 2^60 output steps, got "
            f"{float(gamma.abs().max())} and {float(beta.abs().max())} with a step of {scale_out}"
        )
        raise ValueError(msg)
    rounded = [round(math.ldexp(offset, shift)) for offset in offsets.tolist()]
    return NormParameters(
        torch.tensor(m, dtype=torch.int32),
        torch.tensor(rounded, dtype=torch.int64),
        shift,
        _norm_epsilon(epsilon * count**2 / scale_in**2),
    )


def l2_epsilon(epsilon: float, scale_in: float) -> int:
    """Return the integer that V of an L2 norm, ``x / max(|x|, epsilon)``, is at least.

    Args:
        epsilon: As in the float operator.
        scale_in: Of the input's codes.

    Raises:
        ValueError: If epsilon is too large for ``scale_in``.
    """
    return _norm_epsilon(math.ceil(epsilon**2 / scale_in**2))


def _norm_epsilon(value: float) -> int:
    if not value < 2.0**_EPSILON_BITS:
        msg = f"norm_parameters: epsilon must be below 2^{_EPSILON_BITS} steps, got {value}"
        raise ValueError(msg)
    return max(1, round(value))
