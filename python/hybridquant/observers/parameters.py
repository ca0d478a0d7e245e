"""The one place where a range becomes a scale and a zero-point."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridquant.types import QuantSpec

# Scale of an empty range: float32's machine epsilon, 2^-23, as in FQ-ViT and Q-HyViT. They use it
# as a floor for every scale, which would round networks of tiny activations to nothing.
SCALE_FLOOR = 2.0**-23
# Smallest scale the operators take: its reciprocal is finite.
SMALLEST_SCALE = 2.0**-126


def affine_parameters(low: Tensor, high: Tensor, spec: QuantSpec) -> tuple[Tensor, Tensor]:
    """Return the scale and zero-point that cover the ranges ``[low, high]``.

    Symmetric: ``scale = max(|low|, |high|) / qmax``, zero-point 0. Asymmetric:
    ``scale = (high - low) / (qmax - qmin)`` and
    ``zero_point = clamp(round_half_even(qmin - low / scale), qmin, qmax)``. A range is first
    widened to hold zero, so the zero-point needs no clamping and zero is exact. With
    ``spec.include_zero`` false it is not widened: a range that lies wholly on one side of zero
    then has its zero-point clamped and decodes to ``[0, high - low]`` or ``[low - high, 0]``,
    the zero-point overflow of the peers. Symmetric ranges always hold zero.

    Rows that are all zero (or constant, when zero is not included) get the scale 2^-23, others at
    least 2^-126, the smallest the operators take. Intermediate values are float64, so no finite
    range overflows; the zero-point is that of the float32 scale which is returned.

    Args:
        low: Lower ends, finite, any shape.
        high: Upper ends, at least ``low``, same shape.
        spec: Scheme, code range and ``include_zero``.

    Returns:
        (scale, zero_point), float32, the shape of ``low``; the zero-point holds integers.

    Raises:
        ValueError: If a bound is not finite or ``low`` exceeds ``high``.

    Source:
        The formulas are FQ-ViT's (arXiv 2111.13824, released code) except for the symmetric
        denominator, ``qmax`` instead of ``(qmax - qmin) / 2``, so that the largest magnitude is
        a code. The overflow is challenge C2 of Q-HyViT (arXiv 2303.12557).

    Example:
        >>> scale, zero_point = affine_parameters(
        ...     torch.tensor([-1.0, 5.0]), torch.tensor([1.55, 6.0]), QuantSpec(bits=8)
        ... )
        >>> [round(value, 4) for value in scale.tolist()], zero_point.tolist()
        ([0.01, 0.0235], [100.0, 0.0])
    """
    low, high = low.to(torch.float64), high.to(torch.float64)
    if not bool((low <= high).all() and torch.isfinite(low).all() and torch.isfinite(high).all()):
        msg = f"affine_parameters: low must be finite and at most high, got {low} and {high}"
        raise ValueError(msg)
    if spec.scheme == "symmetric":
        scale = _usable(torch.maximum(low.abs(), high.abs()) / spec.qmax)
        return scale, torch.zeros_like(scale)
    if spec.include_zero:
        low, high = low.clamp(max=0.0), high.clamp(min=0.0)
    scale = _usable((high - low) / (spec.qmax - spec.qmin))
    zero_point = (spec.qmin - low / scale).round().clamp(spec.qmin, spec.qmax)
    return scale, zero_point.to(torch.float32)


def _usable(scale: Tensor) -> Tensor:
    usable = torch.where(scale > 0, scale.clamp(min=SMALLEST_SCALE), SCALE_FLOOR)
    return usable.to(torch.float32)
