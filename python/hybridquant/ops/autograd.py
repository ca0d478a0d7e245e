"""Gradients of the fake-quant ops: straight-through for x, learned-step for the parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

Gradients = tuple[Tensor | None, Tensor | None, Tensor | None, None, None, None, None]
LevelGradients = tuple[Tensor | None, Tensor | None, None, None, None, None]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, scale, zero_point, *ctx.options = inputs
    ctx.save_for_backward(x, scale, zero_point)


def _backward(ctx: Any, g: Tensor) -> Gradients:
    x, scale, zero_point = ctx.saved_tensors
    channel_axis, qmin, qmax, grad_factor = ctx.options
    gx: Tensor | None
    gscale: Tensor | None = None
    gzero_point: Tensor | None = None
    if any(ctx.needs_input_grad[1:3]):
        gx, gscale, gzero_point = torch.ops.hybridquant.fake_quant_affine_grad(
            g, x, scale, zero_point, channel_axis, qmin, qmax, grad_factor
        )
    else:
        gx = torch.ops.hybridquant.fake_quant_affine_grad_x(
            g, x, scale, zero_point, channel_axis, qmin, qmax
        )
    return gx, gscale, gzero_point, None, None, None, None


def _setup_levels_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.channel_axis, ctx.grad_factor = inputs
    ctx.save_for_backward(*tensors)


def _backward_levels(ctx: Any, g: Tensor) -> LevelGradients:
    tensors = ctx.saved_tensors
    gx: Tensor | None
    gscale: Tensor | None = None
    if ctx.needs_input_grad[1]:
        gx, gscale = torch.ops.hybridquant.fake_quant_levels_grad(
            g, *tensors, ctx.channel_axis, ctx.grad_factor
        )
    else:
        gx = torch.ops.hybridquant.fake_quant_levels_grad_x(g, *tensors, ctx.channel_axis)
    return gx, gscale, None, None, None, None


torch.library.register_autograd(
    "hybridquant::fake_quant_affine", _backward, setup_context=_setup_context
)
torch.library.register_autograd(
    "hybridquant::fake_quant_levels", _backward_levels, setup_context=_setup_levels_context
)
