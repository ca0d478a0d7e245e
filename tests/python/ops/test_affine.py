from __future__ import annotations

import io

import pytest
import torch
from affine_cases import CASES, DTYPES, TORCH_CASES, Case, bits
from torch import Tensor, nn

from hybridquant.ops import dequantize_affine, fake_quant_affine, quantize_affine
from hybridquant.ops.reference import (
    dequantize_affine_ref,
    fake_quant_affine_ref,
    quantize_affine_ref,
)

NAN, INF = float("nan"), float("inf")
CODE_TYPES = {
    (0, 255): torch.uint8,
    (0, 15): torch.uint8,
    (-128, 127): torch.int8,
    (-2, 1): torch.int8,
    (-1, 255): torch.int16,
    (0, 256): torch.int16,
    (-32768, 32767): torch.int16,
    (0, 65535): torch.int32,
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_fake_quant_equals_reference(case: Case, dtype: torch.dtype) -> None:
    x, (scale, zero_point) = case.inputs(dtype), case.parameters()
    y = fake_quant_affine(x, scale, zero_point, *case.codes, case.channel_axis)
    expected = fake_quant_affine_ref(x, scale, zero_point, *case.codes, case.channel_axis)
    assert y.dtype == dtype
    assert y.shape == x.shape
    assert torch.equal(bits(y), bits(expected))


@pytest.mark.parametrize("case", TORCH_CASES, ids=str)
def test_fake_quant_equals_torch(case: Case) -> None:
    x, (scale, zero_point) = case.inputs(), case.parameters()
    y = fake_quant_affine(x, scale, zero_point, *case.codes, case.channel_axis)
    if case.axis is None:
        expected = torch.fake_quantize_per_tensor_affine(
            x, float(scale), int(zero_point), *case.codes
        )
    else:
        axis = case.channel_axis % x.dim()
        expected = torch.fake_quantize_per_channel_affine(
            x, scale, zero_point.int(), axis, *case.codes
        )
    assert torch.equal(bits(y), bits(expected))


@pytest.mark.parametrize(
    ("x", "y", "q"),
    [
        (0.0, 0.0, 3),
        (-0.1, 0.0, 3),
        (0.25, 0.0, 3),
        (0.75, 1.0, 5),
        (-1.75, -1.5, 0),
        (2.25, 2.0, 7),
        (3e38, 2.0, 7),
        (INF, 2.0, 7),
        (-INF, -1.5, 0),
        (NAN, NAN, 3),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_value_table(x: float, y: float, q: int, dtype: torch.dtype) -> None:
    given = torch.tensor([x], dtype=dtype)
    got = fake_quant_affine(given, 0.5, 3, 0, 7)
    torch.testing.assert_close(got, torch.tensor([y], dtype=dtype), rtol=0, atol=0, equal_nan=True)
    assert quantize_affine(given, 0.5, 3, 0, 7).item() == q


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_quantize_and_dequantize_equal_reference(case: Case, dtype: torch.dtype) -> None:
    x, (scale, zero_point) = case.inputs(dtype), case.parameters()
    q = quantize_affine(x, scale, zero_point, *case.codes, case.channel_axis)
    expected = quantize_affine_ref(x, scale, zero_point, *case.codes, case.channel_axis)
    assert q.dtype == expected.dtype
    assert torch.equal(q, expected)
    back = dequantize_affine(q, scale, zero_point, case.channel_axis)
    assert torch.equal(back, dequantize_affine_ref(q, scale, zero_point, case.channel_axis))
    y = fake_quant_affine(x, scale, zero_point, *case.codes, case.channel_axis)
    assert torch.equal(back.to(dtype), y)


@pytest.mark.parametrize(("codes", "dtype"), CODE_TYPES.items(), ids=str)
def test_codes_use_the_smallest_type(codes: tuple[int, int], dtype: torch.dtype) -> None:
    q = quantize_affine(torch.tensor([-1e9, 1e9]), 1.0, max(codes[0], 0), *codes)
    assert q.dtype == dtype
    assert q.tolist() == list(codes)


STRIDED = {
    "transposed": lambda x: x.transpose(0, 2),
    "permuted": lambda x: x.permute(0, 2, 3, 1),
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "sliced": lambda x: x[:, :, 1:, ::2],
    "expanded": lambda x: x[:, :1].expand(-1, 5, -1, -1),
    "one element axes": lambda x: x[:1, :, :1],
}


@pytest.mark.parametrize("axis", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("name", STRIDED)
def test_any_strides(name: str, axis: int | None) -> None:
    x = STRIDED[name](torch.randn(4, 6, 10, 8))
    scale, zero_point = Case(tuple(x.shape), axis).parameters()
    channel_axis = axis or 0
    y = fake_quant_affine(x, scale, zero_point, 0, 255, channel_axis)
    q = quantize_affine(x, scale, zero_point, 0, 255, channel_axis)
    expected = fake_quant_affine_ref(x, scale, zero_point, 0, 255, channel_axis)
    assert torch.equal(y, expected)
    assert y.stride() == q.stride() == torch.empty_like(x).stride()
    codes = STRIDED[name](torch.randint(0, 255, (4, 6, 10, 8), dtype=torch.uint8))
    back = dequantize_affine(codes, scale, zero_point, channel_axis)
    assert torch.equal(back, dequantize_affine_ref(codes, scale, zero_point, channel_axis))


def test_zero_points_are_rounded_half_to_even_and_clamped() -> None:
    x = torch.randn(4, 50)
    given = torch.tensor([2.5, 3.5, -4.0, 999.0])
    scale = torch.full([4], 0.1)
    expected = torch.tensor([2.0, 4.0, 0.0, 15.0])
    for op in (fake_quant_affine, quantize_affine):
        assert torch.equal(op(x, scale, given, 0, 15), op(x, scale, expected, 0, 15))


def test_numbers_stand_for_one_element() -> None:
    x = torch.randn(3, 4)
    scale, zero_point = torch.tensor([2.0]), torch.tensor([3.0])
    expected = fake_quant_affine(x, scale, zero_point, 0, 7)
    for given in ((2, 3), (2.0, 3.0), (scale, 3), (2, zero_point)):
        assert torch.equal(fake_quant_affine(x, *given, 0, 7), expected)
    three = torch.tensor([1.0, 2.0, 3.0])
    assert torch.equal(
        quantize_affine(x, three, 3, 0, 7), quantize_affine(x, three, torch.full([3], 3.0), 0, 7)
    )


class Affine(nn.Module):
    """The three functions in one module, per channel and with numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([0.1, 0.2, 0.3]))
        self.zero_point = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, x: Tensor) -> Tensor:
        y = fake_quant_affine(x, self.scale, self.zero_point, 0, 255, channel_axis=1)
        q = quantize_affine(y, 0.05, 7, -128, 127)
        return dequantize_affine(q, 0.05, 7) + fake_quant_affine(x, 1, 0, 0, 15)


@pytest.fixture
def module() -> Affine:
    return Affine()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(4, 3, 20, generator=torch.Generator().manual_seed(0))


def test_script_save_and_load(module: Affine, x: Tensor) -> None:
    scripted = torch.jit.script(module)
    buffer = io.BytesIO()
    torch.jit.save(scripted, buffer)
    loaded = torch.jit.load(io.BytesIO(buffer.getvalue()))
    for given in (x, x[:1], torch.cat([x, x])):
        assert torch.equal(scripted(given), module(given))
        assert torch.equal(loaded(given), module(given))


def test_script_of_the_functions() -> None:
    x = torch.randn(3, 4)
    scale, zero_point = torch.rand(3) + 0.1, torch.zeros(3)
    scripted = torch.jit.script(fake_quant_affine)
    expected = fake_quant_affine(x, scale, zero_point, 0, 7)
    assert torch.equal(scripted(x, scale, zero_point, 0, 7), expected)
    assert torch.equal(scripted(x, 1, 0, 0, 7), fake_quant_affine(x, 1, 0, 0, 7))
    with pytest.raises(RuntimeError, match="calibrate first"):
        scripted(x, NAN, 0, 0, 7)


@pytest.mark.parametrize("with_grad", [False, True])
def test_trace_records_the_ops(module: Affine, x: Tensor, with_grad: bool) -> None:
    with torch.set_grad_enabled(with_grad):
        traced = torch.jit.trace(module, x[:2])
    assert "hybridquant::fake_quant_affine" in str(traced.graph)
    assert torch.equal(traced(x), module(x))


def test_export_with_a_dynamic_batch(module: Affine, x: Tensor) -> None:
    batch = torch.export.Dim("batch")
    program = torch.export.export(module, (x,), dynamic_shapes=({0: batch},))
    targets = {str(node.target) for node in program.graph.nodes}
    assert "hybridquant.fake_quant_affine.default" in targets
    assert torch.equal(program.module()(x[:3]), module(x[:3]))


def test_threads_do_not_change_a_bit(x: Tensor) -> None:
    big = torch.randn(64, 5000)
    scale, zero_point = torch.rand(64) + 0.01, torch.zeros(64)
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(fake_quant_affine(big, scale, zero_point, -8, 7))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)
