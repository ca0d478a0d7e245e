"""Fake-quantization to given levels, as a function that torch.jit.script compiles."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridquant.ops.fakes import FLOAT_DTYPES


def fake_quant_levels(
    x: Tensor,
    scale: Tensor,
    levels: Tensor,
    thresholds: Tensor,
    channel_axis: int = 0,
    grad_factor: float = 1.0,
) -> Tensor:
    """Return ``x`` with each value replaced by its level.

    With ``t = x * (1 / scale)`` the result is ``levels[n] * scale``, n being the number of
    thresholds that are at most t: each threshold is the smallest t of the level above it. In
    float32 whatever the dtype of ``x``. A NaN stays a NaN. The gradient of ``x`` is
    straight-through between the outermost levels and as far beyond them as their thresholds are
    inside; ``scale`` gets a learned-step gradient if it asks for one. Levels and thresholds get
    none, and there is no second derivative.

    Args:
        x: float32, bfloat16 or float16, any shape and strides, on any device.
        scale: float32, 1 element or one per channel; finite and at least 2^-126.
        levels: float32 [n], 2 to 65536 of them, finite, in units of the scale.
        thresholds: float32 [n - 1], finite, none below the one before, in units of the scale.
        channel_axis: Axis of the channels, from the end if negative; ignored with one scale.
        grad_factor: Factor on the gradient of ``scale``.

    Returns:
        The dtype, shape and strides of ``x``.

    Shape:
        ``[*] -> [*]``.

    Raises:
        ValueError: If a value or a number of elements is not as above.
        TypeError: If a dtype is not as above.

    Example:
        >>> levels, thresholds = torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.35, 0.7])
        >>> x = torch.tensor([0.3, 0.7, 1.3, 1.5])
        >>> fake_quant_levels(x, torch.tensor([2.0]), levels, thresholds)
        tensor([0., 1., 1., 2.])
    """
    if not torch.jit.is_scripting():  # type: ignore[attr-defined]
        return _call(x, scale, levels, thresholds, channel_axis, grad_factor)
    result: Tensor = torch.ops.hybridquant.fake_quant_levels(
        x, scale, levels, thresholds, channel_axis, grad_factor
    )
    return result


def _call(
    x: Tensor,
    scale: Tensor,
    levels: Tensor,
    thresholds: Tensor,
    channel_axis: int,
    grad_factor: float,
) -> Tensor:
    # C++ checks the same, with the same texts.
    for name, tensor, allowed in (
        ("x", x, FLOAT_DTYPES),
        ("scale", scale, (torch.float32,)),
        ("levels", levels, (torch.float32,)),
        ("thresholds", thresholds, (torch.float32,)),
    ):
        if tensor.dtype not in allowed:
            wanted = "float32, bfloat16 or float16" if name == "x" else "float32"
            got = str(tensor.dtype).removeprefix("torch.")
            msg = f"fake_quant_levels: {name} must be {wanted}, got {got}"
            raise TypeError(msg)
    try:
        result: Tensor = torch.ops.hybridquant.fake_quant_levels(
            x, scale, levels, thresholds, channel_axis, grad_factor
        )
    except RuntimeError as error:
        # The stable ABI carries only this class; what the op found is in the text.
        if str(error).startswith("fake_quant_levels: "):
            raise ValueError(str(error)) from None
        raise
    return result
