"""What the ops return without computing it: shapes, dtypes and strides for tracing compilers."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridquant.ops.library import check_operators

FLOAT_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
CODE_DTYPES = (torch.uint8, torch.int8, torch.int16, torch.int32)


def code_dtype(qmin: int, qmax: int) -> torch.dtype:
    """Return the smallest of uint8, int8, int16, int32 (in this order) that holds every code."""
    if qmin >= 0 and qmax <= 255:
        return torch.uint8
    if qmin >= -128 and qmax <= 127:
        return torch.int8
    return torch.int16 if qmax <= 32767 else torch.int32


def _fake_quant_affine(
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor,
    channel_axis: int,
    qmin: int,
    qmax: int,
    grad_factor: float = 1.0,
) -> Tensor:
    return torch.empty_like(x)


def _fake_quant_affine_grad_x(
    g: Tensor,
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor,
    channel_axis: int,
    qmin: int,
    qmax: int,
) -> Tensor:
    return torch.empty_like(x)


def _fake_quant_affine_grad(
    g: Tensor,
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor,
    channel_axis: int,
    qmin: int,
    qmax: int,
    grad_factor: float,
) -> tuple[Tensor, Tensor, Tensor]:
    gscale = torch.empty_like(scale, memory_format=torch.contiguous_format)
    return torch.empty_like(x), gscale, torch.empty_like(gscale)


def _fake_quant_levels(
    x: Tensor,
    scale: Tensor,
    levels: Tensor,
    thresholds: Tensor,
    channel_axis: int,
    grad_factor: float = 1.0,
) -> Tensor:
    return torch.empty_like(x)


def _fake_quant_levels_grad_x(
    g: Tensor, x: Tensor, scale: Tensor, levels: Tensor, thresholds: Tensor, channel_axis: int
) -> Tensor:
    return torch.empty_like(x)


def _fake_quant_levels_grad(
    g: Tensor,
    x: Tensor,
    scale: Tensor,
    levels: Tensor,
    thresholds: Tensor,
    channel_axis: int,
    grad_factor: float,
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(scale, memory_format=torch.contiguous_format)


def _quantize_affine(
    x: Tensor, scale: Tensor, zero_point: Tensor, channel_axis: int, qmin: int, qmax: int
) -> Tensor:
    return torch.empty_like(x, dtype=code_dtype(qmin, qmax))


def _dequantize_affine(q: Tensor, scale: Tensor, zero_point: Tensor, channel_axis: int) -> Tensor:
    return torch.empty_like(q, dtype=torch.float32)


def _run_integer_model(program: Tensor, x: Tensor, num_logits: int) -> Tensor:
    return x.new_empty((x.shape[0], num_logits), dtype=torch.int32)


def register_fakes() -> None:
    """Register what is above with the operators of the loaded library.

    Raises:
        ImportError: If the library lacks one of them, or has other arguments for it.
    """
    functions = (
        _fake_quant_affine,
        _fake_quant_affine_grad_x,
        _fake_quant_affine_grad,
        _fake_quant_levels,
        _fake_quant_levels_grad_x,
        _fake_quant_levels_grad,
        _quantize_affine,
        _dequantize_affine,
        _run_integer_model,
    )
    fakes = {function.__name__.removeprefix("_"): function for function in functions}
    check_operators(fakes)
    for name, fake in fakes.items():
        torch.library.register_fake(f"hybridquant::{name}", fake)
