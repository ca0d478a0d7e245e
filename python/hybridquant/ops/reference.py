"""The rule of docs/arithmetic.md in plain torch: slow, short, and what the ops are tested against.

Arguments are those of the functions of the same names in ``hybridquant.ops``; scales and
zero-points are float32 tensors. Nothing is checked.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hybridquant.ops.fakes import code_dtype


def fake_quant_affine_ref(
    x: Tensor, scale: Tensor, zero_point: Tensor, qmin: int, qmax: int, channel_axis: int = 0
) -> Tensor:
    """Return ``x`` as it is after quantization and dequantization.

    Shape:
        ``[*] -> [*]``.

    Example:
        >>> scale, zero_point = torch.tensor([0.5]), torch.tensor([0.0])
        >>> fake_quant_affine_ref(torch.tensor([-1.0, 0.24, 0.26, 9.0]), scale, zero_point, 0, 3)
        tensor([0.0000, 0.0000, 0.5000, 1.5000])
    """
    scale, zero_point = _broadcast(x, scale, zero_point, channel_axis)
    z = zero_point.round().clamp(qmin, qmax)
    q = ((x.float() * scale.reciprocal()).round() + z).clamp(qmin, qmax)
    return ((q - z) * scale).to(x.dtype)


def fake_quant_affine_grad_ref(
    g: Tensor,
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor,
    qmin: int,
    qmax: int,
    channel_axis: int = 0,
    grad_factor: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of ``x``, ``scale`` and ``zero_point``; ``g`` is that of the result.

    Sums are taken in float64.

    Shape:
        ``[*], [*] -> [*], [channels], [channels]``.

    Example:
        >>> x, one = torch.tensor([0.1, 9.0]), torch.tensor([1.0])
        >>> fake_quant_affine_grad_ref(torch.ones(2), x, one, one, 0, 3)
        (tensor([1., 0.]), tensor([1.9000]), tensor([-1.]))
    """
    wide_scale, wide_zero_point = _broadcast(x, scale, zero_point, channel_axis)
    z = wide_zero_point.round().clamp(qmin, qmax)
    t = x.float() * wide_scale.reciprocal()
    r = t.round()
    is_inside = (qmin <= r + z) & (r + z <= qmax)
    is_outside = ~is_inside & ~t.isnan()
    slope = torch.where(is_inside, r - t, r.clamp(qmin - z, qmax - z))
    scale_terms = (g.float() * slope).where(~t.isnan(), 0)
    zero_point_terms = (-g.float() * wide_scale).where(is_outside, 0)
    gscale = _sum_to(scale_terms, wide_scale).view(scale.shape) * grad_factor
    gzero_point = _sum_to(zero_point_terms, wide_scale).view(scale.shape) * grad_factor
    return g.where(is_inside, 0), gscale.float(), gzero_point.float()


def fake_quant_levels_ref(
    x: Tensor, scale: Tensor, levels: Tensor, thresholds: Tensor, channel_axis: int = 0
) -> Tensor:
    """Return ``x`` with each value replaced by its level.

    Shape:
        ``[*] -> [*]``.

    Example:
        >>> levels, thresholds = torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.35, 0.7])
        >>> x = torch.tensor([0.3, 0.7, 1.3, 1.5])
        >>> fake_quant_levels_ref(x, torch.tensor([2.0]), levels, thresholds)
        tensor([0., 1., 1., 2.])
    """
    scale, _ = _broadcast(x, scale, scale, channel_axis)
    t = x.float() * scale.reciprocal()
    level = levels[_count_thresholds(t, thresholds)] + 0.0
    return (level.where(~t.isnan(), t) * scale).to(x.dtype)


def fake_quant_levels_grad_ref(
    g: Tensor,
    x: Tensor,
    scale: Tensor,
    levels: Tensor,
    thresholds: Tensor,
    channel_axis: int = 0,
    grad_factor: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``x`` and ``scale``; ``g`` is that of the result.

    Sums are taken in float64.

    Shape:
        ``[*], [*] -> [*], [channels]``.

    Example:
        >>> x, levels = torch.tensor([0.25, 9.0]), torch.tensor([0.0, 1.0])
        >>> one, thresholds = torch.tensor([1.0]), torch.tensor([0.5])
        >>> fake_quant_levels_grad_ref(torch.ones(2), x, one, levels, thresholds)
        (tensor([1., 0.]), tensor([0.7500]))
    """
    wide_scale, _ = _broadcast(x, scale, scale, channel_axis)
    t = x.float() * wide_scale.reciprocal()
    level = levels[_count_thresholds(t, thresholds)]
    lowest = levels[0] + (levels[0] - thresholds[0])
    highest = levels[-1] + (levels[-1] - thresholds[-1])
    is_inside = (lowest <= t) & (t <= highest)
    slope = torch.where(is_inside, level - t, level)
    terms = (g.float() * slope).where(~t.isnan(), 0)
    gscale = _sum_to(terms, wide_scale).view(scale.shape) * grad_factor
    return g.where(is_inside, 0), gscale.float()


def quantize_affine_ref(
    x: Tensor, scale: Tensor, zero_point: Tensor, qmin: int, qmax: int, channel_axis: int = 0
) -> Tensor:
    """Return the codes of ``x``; a NaN becomes the zero-point.

    Shape:
        ``[*] -> [*]``.

    Example:
        >>> scale, zero_point = torch.tensor([0.5]), torch.tensor([1.0])
        >>> quantize_affine_ref(torch.tensor([-1.0, 0.24, 0.26, 9.0]), scale, zero_point, 0, 3)
        tensor([0, 1, 2, 3], dtype=torch.uint8)
    """
    scale, zero_point = _broadcast(x, scale, zero_point, channel_axis)
    z = zero_point.round().clamp(qmin, qmax)
    q = ((x.float() * scale.reciprocal()).round() + z).clamp(qmin, qmax)
    return q.where(~q.isnan(), z).to(code_dtype(qmin, qmax))


def dequantize_affine_ref(
    q: Tensor, scale: Tensor, zero_point: Tensor, channel_axis: int = 0
) -> Tensor:
    """Return ``(q - zero_point) * scale`` in float32.

    Shape:
        ``[*] -> [*]``.

    Example:
        >>> scale, zero_point = torch.tensor([0.5]), torch.tensor([1.0])
        >>> dequantize_affine_ref(torch.tensor([0, 1, 3], dtype=torch.uint8), scale, zero_point)
        tensor([-0.5000,  0.0000,  1.0000])
    """
    scale, zero_point = _broadcast(q, scale, zero_point, channel_axis)
    return (q.float() - zero_point.round().clamp(-32768, 65535)) * scale


def _broadcast(
    x: Tensor, scale: Tensor, zero_point: Tensor, channel_axis: int
) -> tuple[Tensor, Tensor]:
    shape = [1] * x.dim()
    if scale.numel() != 1:
        shape[channel_axis] = -1
    return scale.view(shape), zero_point.view(shape)


def _count_thresholds(t: Tensor, thresholds: Tensor) -> Tensor:
    return torch.bucketize(t.nan_to_num(nan=0.0).contiguous(), thresholds, right=True)


def _sum_to(terms: Tensor, like: Tensor) -> Tensor:
    return terms.double().sum_to_size(like.shape)
