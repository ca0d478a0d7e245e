"""Bad arguments of the affine ops: the same sentence from Python and from C++."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from hybridquant.ops import dequantize_affine, fake_quant_affine, quantize_affine

NAN, INF = float("nan"), float("inf")
ONE = torch.ones(1)
X = torch.zeros(2, 3)
Q = torch.zeros(2, 3, dtype=torch.uint8)
BAD_VALUES = [
    (
        (X, NAN, 0, 0, 7),
        "scale must be positive, finite and at least 2^-126, got nan at channel 0; ",
    ),
    ((X, NAN, 0, 0, 7), "; calibrate first"),
    ((X, INF, 0, 0, 7), "scale must be positive, finite and at least 2^-126, got inf"),
    ((X, 0.0, 0, 0, 7), "scale must be positive, finite and at least 2^-126, got 0"),
    ((X, -1.0, 0, 0, 7), "scale must be positive, finite and at least 2^-126, got -1"),
    ((X, 1e-38, 0, 0, 7), "scale must be positive, finite and at least 2^-126, got 1e-38"),
    ((X, torch.tensor([1.0, 0.0]), 0, 0, 7), "got 0 at channel 1"),
    ((X, 1.0, NAN, 0, 7), "zero_point must be finite, got nan at channel 0"),
    ((X, 1.0, INF, 0, 7), "zero_point must be finite, got inf"),
    (
        (X, torch.ones(4), 0, 0, 7, 1),
        "scale must have 1 or 3 elements (channel axis 1 of x), got 4",
    ),
    (
        (X, torch.ones(0), 0, 0, 7, 1),
        "scale must have 1 or 3 elements (channel axis 1 of x), got 0",
    ),
    ((X, torch.ones(3), ONE, 0, 7, 1), "zero_point must have as many elements as scale (3), got 1"),
    ((X, torch.ones(3), 0, 0, 7, 2), "channel_axis must be in [-2, 1] (x has 2 axes), got 2"),
    ((X, torch.ones(3), 0, 0, 7, -3), "channel_axis must be in [-2, 1] (x has 2 axes), got -3"),
    ((X[0, 0], torch.ones(3), 0, 0, 7), "scale must have 1 element (x has no axes), got 3"),
    ((X, 1.0, 0, 7, 7), "qmin must be below qmax (7), got 7"),
    ((X, 1.0, 0, -32769, 7), "qmin must be at least -32768, got -32769"),
    ((X, 1.0, 0, 0, 65536), "qmax must be at most 65535, got 65536"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD_VALUES, ids=[text for _, text in BAD_VALUES])
@pytest.mark.parametrize("op", [fake_quant_affine, quantize_affine], ids=lambda op: op.__name__)
def test_bad_values_read_the_same_from_python_and_cpp(
    op: object, arguments: tuple[object, ...], text: str
) -> None:
    with pytest.raises(ValueError) as error:
        op(*arguments)  # type: ignore[operator]
    assert str(error.value).startswith(f"{op.__name__}: ")  # type: ignore[attr-defined]
    assert text in str(error.value)
    tensors = [torch.as_tensor(value) for value in arguments[:3]]
    name, codes, axis = op.__name__, arguments[3:5], (*arguments[5:], 0)[0]  # type: ignore[attr-defined]
    tensors[2] = tensors[2].float().expand_as(tensors[1]) if tensors[2].dim() == 0 else tensors[2]
    with pytest.raises(RuntimeError) as raw:
        getattr(torch.ops.hybridquant, name)(*tensors, axis, *codes)
    assert str(raw.value) == str(error.value)


def test_bad_values_are_found_where_there_is_a_gradient_and_no_element() -> None:
    with pytest.raises(ValueError, match="calibrate first"):
        fake_quant_affine(torch.zeros(3, requires_grad=True), NAN, 0, 0, 7)
    with pytest.raises(ValueError, match="calibrate first"):
        fake_quant_affine(torch.zeros(0), NAN, 0, 0, 7)


BAD_TYPES = [
    (fake_quant_affine, (X.double(), ONE, ONE, 0, 7), "x must be {floats}, got float64"),
    (fake_quant_affine, (X.int(), ONE, ONE, 0, 7), "x must be {floats}, got int32"),
    (fake_quant_affine, (X.bool(), ONE, ONE, 0, 7), "x must be {floats}, got bool"),
    (fake_quant_affine, (X, ONE.half(), ONE, 0, 7), "scale must be float32, got float16"),
    (fake_quant_affine, (X, ONE, ONE.int(), 0, 7), "zero_point must be float32, got int32"),
    (quantize_affine, (X.long(), ONE, ONE, 0, 7), "x must be {floats}, got int64"),
    (quantize_affine, (X, ONE.double(), ONE, 0, 7), "scale must be float32, got float64"),
    (dequantize_affine, (X, ONE, ONE), "q must be uint8, int8, int16 or int32, got float32"),
    (dequantize_affine, (Q.long(), ONE, ONE), "q must be uint8, int8, int16 or int32, got int64"),
    (dequantize_affine, (Q, ONE, ONE.bfloat16()), "zero_point must be float32, got bfloat16"),
]


@pytest.mark.parametrize(("op", "arguments", "text"), BAD_TYPES, ids=[row[2] for row in BAD_TYPES])
def test_bad_types_read_the_same_from_python_and_cpp(
    op: object, arguments: tuple[object, ...], text: str
) -> None:
    name = op.__name__  # type: ignore[attr-defined]
    expected = f"{name}: " + text.format(floats="float32, bfloat16 or float16")
    with pytest.raises(TypeError) as error:
        op(*arguments)  # type: ignore[operator]
    assert str(error.value) == expected
    tensors, codes = arguments[:3], arguments[3:]
    with pytest.raises(RuntimeError) as raw:
        getattr(torch.ops.hybridquant, name)(*tensors, 0, *codes)
    assert str(raw.value) == expected


NUMBER = "must be a number or a float32 tensor"
NOT_EVEN_A_TYPE = [
    (fake_quant_affine, {"x": [1.0]}, "x must be a tensor, got [1.0]"),
    (fake_quant_affine, {"scale": "a"}, f"scale {NUMBER}, got 'a'"),
    (fake_quant_affine, {"zero_point": None}, f"zero_point {NUMBER}, got None"),
    (fake_quant_affine, {"qmin": None}, "qmin must be an integer, got None"),
    (fake_quant_affine, {"qmax": 7.0}, "qmax must be an integer, got 7.0"),
    (fake_quant_affine, {"qmax": torch.tensor(7)}, "qmax must be an integer, got tensor(7)"),
    (quantize_affine, {"x": None}, "x must be a tensor, got None"),
    (quantize_affine, {"scale": [0.1, 0.2]}, f"scale {NUMBER}, got [0.1, 0.2]"),
    (quantize_affine, {"channel_axis": 0.5}, "channel_axis must be an integer, got 0.5"),
    (dequantize_affine, {"q": 3}, "q must be a tensor, got 3"),
    (dequantize_affine, {"zero_point": 1j}, f"zero_point {NUMBER}, got 1j"),
]


@pytest.mark.parametrize(("op", "given", "text"), NOT_EVEN_A_TYPE)
def test_what_is_neither_tensor_nor_number_is_named(
    op: Callable[..., Tensor], given: dict[str, object], text: str
) -> None:
    arguments = {"scale": 1.0, "zero_point": 0}
    arguments |= {"q": Q} if op is dequantize_affine else {"x": X, "qmin": 0, "qmax": 7}
    with pytest.raises(TypeError) as error:
        op(**{**arguments, **given})
    assert str(error.value) == f"{op.__name__}: {text}"


def test_numbers_of_numpy_are_numbers() -> None:
    y = fake_quant_affine(X + 1.1, np.float32(0.5), np.int64(0), np.int64(0), np.int32(7))
    assert torch.equal(y, torch.ones(2, 3))
