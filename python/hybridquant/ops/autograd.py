"""Gradients of fake_quant_affine: straight-through for x, learned-step for scale and zero-point."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

Gradients = tuple[Tensor | None, Tensor | None, Tensor | None, None, None, None, None]


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


torch.library.register_autograd(
    "hybridquant::fake_quant_affine", _backward, setup_context=_setup_context
)
