"""The ops as functions that also take plain numbers, and that torch.jit.script compiles."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Union

import torch
from torch import Tensor

from hybridquant.ops.fakes import CODE_DTYPES, FLOAT_DTYPES

# TorchScript reads the annotation of a parameter: it knows Union but not every spelling of "|".
Number = Union[int, float, Tensor]  # noqa: UP007


def fake_quant_affine(
    x: Tensor,
    scale: Number,
    zero_point: Number,
    qmin: int,
    qmax: int,
    channel_axis: int = 0,
    grad_factor: float = 1.0,
) -> Tensor:
    """Return ``x`` as it is after quantization and dequantization.

    ``q = clamp(rint(x * (1 / scale)) + zero_point, qmin, qmax)`` and the result is
    ``(q - zero_point) * scale``, in float32 whatever the dtype of ``x``. A NaN stays a NaN. The
    gradient of ``x`` is straight-through; scale and zero-point get learned-step gradients if they
    ask for them. There is no second derivative.

    Args:
        x: float32, bfloat16 or float16, any shape and strides, on any device.
        scale: A number or float32, 1 element or one per channel; finite and at least 2^-126.
        zero_point: A number or float32 with as many elements as ``scale``; rounded half to even and
            clamped to [qmin, qmax] before use.
        qmin: Smallest code, at least -32768.
        qmax: Largest code, above ``qmin``, at most 65535.
        channel_axis: Axis of the channels, from the end if negative; ignored with one scale.
        grad_factor: Factor on the gradients of ``scale`` and ``zero_point``.

    Returns:
        The dtype, shape and strides of ``x``.

    Shape:
        ``[*] -> [*]``.

    Raises:
        ValueError: If a value or a number of elements is not as above.
        TypeError: If a dtype is not as above.

    Source:
        Straight-through: arXiv:1308.3432. Learned step: LSQ, arXiv:1902.08153, equation 3; learned
        zero-point: LSQ+, arXiv:2004.09576, section 3.1.

    Example:
        >>> fake_quant_affine(torch.tensor([-1.0, 0.24, 0.26, 9.0]), 0.5, 0, 0, 3)
        tensor([0.0000, 0.0000, 0.5000, 1.5000])
    """
    if not torch.jit.is_scripting():  # type: ignore[attr-defined]
        _check_types(
            "fake_quant_affine",
            x,
            scale,
            zero_point,
            qmin=qmin,
            qmax=qmax,
            channel_axis=channel_axis,
        )
    scales, zero_points = _parameters(x, scale, zero_point)
    if not torch.jit.is_scripting():  # type: ignore[attr-defined]
        return _call(
            "fake_quant_affine", x, scales, zero_points, channel_axis, qmin, qmax, grad_factor
        )
    result: Tensor = torch.ops.hybridquant.fake_quant_affine(
        x, scales, zero_points, channel_axis, qmin, qmax, grad_factor
    )
    return result


def quantize_affine(
    x: Tensor,
    scale: Number,
    zero_point: Number,
    qmin: int,
    qmax: int,
    channel_axis: int = 0,
) -> Tensor:
    """Return the codes of ``x``: ``clamp(rint(x * (1 / scale)) + zero_point, qmin, qmax)``.

    A NaN becomes the zero-point. There is no gradient.

    Args:
        x: As for ``fake_quant_affine``.
        scale: As for ``fake_quant_affine``.
        zero_point: As for ``fake_quant_affine``.
        qmin: As for ``fake_quant_affine``.
        qmax: As for ``fake_quant_affine``.
        channel_axis: As for ``fake_quant_affine``.

    Returns:
        The smallest of uint8, int8, int16, int32, in this order, that holds ``qmin`` and ``qmax``.

    Shape:
        ``[*] -> [*]``.

    Raises:
        ValueError: If a value or a number of elements is not as above.
        TypeError: If a dtype is not as above.

    Example:
        >>> quantize_affine(torch.tensor([-1.0, 0.24, 0.26, 9.0]), 0.5, 1, 0, 3)
        tensor([0, 1, 2, 3], dtype=torch.uint8)
    """
    if not torch.jit.is_scripting():  # type: ignore[attr-defined]
        _check_types(
            "quantize_affine", x, scale, zero_point, qmin=qmin, qmax=qmax, channel_axis=channel_axis
        )
    scales, zero_points = _parameters(x, scale, zero_point)
    if not torch.jit.is_scripting():  # type: ignore[attr-defined]
        return _call("quantize_affine", x, scales, zero_points, channel_axis, qmin, qmax)
    result: Tensor = torch.ops.hybridquant.quantize_affine(
        x, scales, zero_points, channel_axis, qmin, qmax
    )
    return result


def dequantize_affine(
    q: Tensor, scale: Number, zero_point: Number, channel_axis: int = 0
) -> Tensor:
    """Return ``(q - zero_point) * scale`` in float32.

    Args:
        q: Codes, uint8, int8, int16 or int32, any shape and strides.
        scale: As for ``fake_quant_affine``.
        zero_point: A number or float32 with as many elements as ``scale``; rounded half to even and
            clamped to [-32768, 65535] before use.
        channel_axis: As for ``fake_quant_affine``.

    Returns:
        float32 of the shape of ``q``.

    Shape:
        ``[*] -> [*]``.

    Raises:
        ValueError: If a value or a number of elements is not as above.
        TypeError: If a dtype is not as above.

    Example:
        >>> dequantize_affine(torch.tensor([0, 1, 3], dtype=torch.uint8), 0.5, 1)
        tensor([-0.5000,  0.0000,  1.0000])
    """
    if not torch.jit.is_scripting():  # type: ignore[attr-defined]
        _check_types("dequantize_affine", q, scale, zero_point, channel_axis=channel_axis)
    scales, zero_points = _parameters(q, scale, zero_point)
    if not torch.jit.is_scripting():  # type: ignore[attr-defined]
        return _call("dequantize_affine", q, scales, zero_points, channel_axis)
    result: Tensor = torch.ops.hybridquant.dequantize_affine(q, scales, zero_points, channel_axis)
    return result


def _check_types(
    name: str, x: object, scale: object, zero_point: object, **integers: object
) -> None:
    first = "q" if name == "dequantize_affine" else "x"
    # The usual type comes first: asking whether a value is Real or Integral takes a microsecond.
    number = (Tensor, float, int, Real)
    rows: list[tuple[str, object, tuple[type, ...], str]] = [
        (first, x, (Tensor,), "a tensor"),
        ("scale", scale, number, "a number or a float32 tensor"),
        ("zero_point", zero_point, number, "a number or a float32 tensor"),
        *((argument, value, (int, Integral), "an integer") for argument, value in integers.items()),
    ]
    for argument, value, kinds, wanted in rows:
        if not isinstance(value, kinds):
            msg = f"{name}: {argument} must be {wanted}, got {value!r}"
            raise TypeError(msg)


def _parameters(x: Tensor, scale: Number, zero_point: Number) -> tuple[Tensor, Tensor]:
    if isinstance(scale, Tensor):
        scales = scale
    else:
        scales = torch.full([1], float(scale), dtype=torch.float32, device=x.device)
    if isinstance(zero_point, Tensor):
        return scales, zero_point
    return scales, torch.full_like(scales, float(zero_point))


def _call(name: str, x: Tensor, scale: Tensor, zero_point: Tensor, *options: float) -> Tensor:
    _check_dtypes(name, x, scale, zero_point)
    try:
        result: Tensor = getattr(torch.ops.hybridquant, name)(x, scale, zero_point, *options)
    except RuntimeError as error:
        # The stable ABI carries only this class; what the op found is in the text.
        if str(error).startswith(f"{name}: "):
            raise ValueError(str(error)) from None
        raise
    return result


def _check_dtypes(name: str, x: Tensor, scale: Tensor, zero_point: Tensor) -> None:
    # C++ checks the same, with the same texts.
    first, dtypes = ("q", CODE_DTYPES) if name == "dequantize_affine" else ("x", FLOAT_DTYPES)
    for argument, tensor, allowed in (
        (first, x, dtypes),
        ("scale", scale, (torch.float32,)),
        ("zero_point", zero_point, (torch.float32,)),
    ):
        if tensor.dtype not in allowed:
            *others, last = [str(dtype).removeprefix("torch.") for dtype in allowed]
            wanted = f"{', '.join(others)} or {last}" if others else last
            got = str(tensor.dtype).removeprefix("torch.")
            msg = f"{name}: {argument} must be {wanted}, got {got}"
            raise TypeError(msg)
