from __future__ import annotations

import io
import math

import pytest
import torch
from affine_cases import CASES, DTYPES, Case, bits
from torch import Tensor, nn

from hybridquant.ops import fake_quant_affine, fake_quant_levels
from hybridquant.ops.reference import fake_quant_levels_grad_ref, fake_quant_levels_ref

FAST, PORTABLE = torch.ops.hybridquant, torch.ops.hybridquant_portable
NAN, INF = float("nan"), float("inf")
SUM_TOLERANCE = 2e-6  # as in test_autograd.py
ONE = torch.ones(1)


def levels_of(count: int) -> tuple[Tensor, Tensor]:
    """Return levels in steps that grow away from 0, and thresholds half-way."""
    steps = torch.arange(count) - count // 3
    levels = (steps * steps.abs()).float() * 0.25
    return levels, (levels[:-1] + levels[1:]) / 2


def with_specials(x: Tensor) -> Tensor:
    if x.numel() > 3:
        x.view(-1)[:3] = torch.tensor([NAN, INF, -INF])
    return x


@pytest.mark.parametrize("count", [2, 17, 257])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_op_reference_and_portable_path_are_equal(case: Case, dtype: torch.dtype, count: int):
    x, scale = with_specials(case.inputs(dtype)), case.parameters()[0]
    arguments = (x, scale, *levels_of(count), case.channel_axis)
    y = fake_quant_levels(*arguments)
    assert y.dtype == dtype
    assert y.shape == x.shape
    for expected in (fake_quant_levels_ref(*arguments), PORTABLE.fake_quant_levels(*arguments)):
        assert torch.equal(y.isnan(), expected.isnan())
        assert torch.equal(bits(y.nan_to_num()), bits(expected.nan_to_num()))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_of_op_reference_and_portable_path_are_equal(case: Case, dtype: torch.dtype):
    x, scale = with_specials(case.inputs(dtype)), case.parameters()[0]
    g = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    levels, thresholds = levels_of(17)
    arguments = (g, x, scale, levels, thresholds, case.channel_axis)
    gx, gscale = FAST.fake_quant_levels_grad(*arguments, 0.5)
    assert torch.equal(FAST.fake_quant_levels_grad_x(*arguments), gx)
    assert torch.equal(PORTABLE.fake_quant_levels_grad_x(*arguments), gx)
    bound = SUM_TOLERANCE * float(g.float().abs().sum()) * float(levels.abs().max())
    for other in (fake_quant_levels_grad_ref, PORTABLE.fake_quant_levels_grad):
        expected = other(*arguments, 0.5)
        assert torch.equal(gx, expected[0])
        assert gscale.shape == expected[1].shape
        torch.testing.assert_close(gscale, expected[1], rtol=0, atol=bound)


def test_gradients_flow_and_are_those_of_the_affine_rule_for_uniform_levels():
    levels = torch.arange(-8.0, 8.0)
    thresholds = levels[1:] - 0.5
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)) * 4
    results = []
    for is_affine in (False, True):
        given, scale = x.clone().requires_grad_(), (ONE / 4).clone().requires_grad_()
        if is_affine:
            zero = torch.zeros(1)
            y = fake_quant_affine(given, scale, zero, -8, 7, grad_factor=0.3)
        else:
            y = fake_quant_levels(given, scale, levels, thresholds, grad_factor=0.3)
        (y * torch.arange(24.0).reshape(4, 6)).sum().backward()
        results.append((y.detach(), given.grad, scale.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_scale_gradient_is_the_slope_of_the_levels():
    # Outside, x_hat = level * scale exactly, so finite differences hold.
    levels, thresholds = levels_of(5)
    x = torch.tensor([99.0, -99.0, 50.0])
    scale = (ONE * 0.5).clone().requires_grad_()
    fake_quant_levels(x, scale, levels, thresholds).sum().backward()
    step = 2.0**-6
    with torch.no_grad():
        high = fake_quant_levels(x, scale + step, levels, thresholds).sum()
        low = fake_quant_levels(x, scale - step, levels, thresholds).sum()
    assert float(scale.grad) == pytest.approx(float(high - low) / (2 * step))


STRIDED = {
    "transposed": lambda x: x.transpose(0, 2),
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "sliced": lambda x: x[:, :, 1:, ::2],
    "expanded": lambda x: x[:, :1].expand(-1, 5, -1, -1),
}


@pytest.mark.parametrize("axis", [None, 0, 1, 3])
@pytest.mark.parametrize("name", STRIDED)
def test_any_strides(name: str, axis: int | None):
    x = STRIDED[name](torch.randn(4, 6, 10, 8))
    scale = Case(tuple(x.shape), axis).parameters()[0]
    arguments = (x, scale, *levels_of(9), axis or 0)
    y = fake_quant_levels(*arguments)
    assert torch.equal(y, fake_quant_levels_ref(*arguments))
    assert y.stride() == torch.empty_like(x).stride()


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_opcheck(dtype: torch.dtype, learned: bool):
    x = torch.randn(2, 3, 4).to(dtype).requires_grad_()
    scale = torch.tensor([0.1, 0.2, 0.3]).requires_grad_(learned)
    torch.library.opcheck(FAST.fake_quant_levels, (x, scale, *levels_of(9), 1, 0.5))
    plain = (x.detach(), x.detach(), scale.detach(), *levels_of(9), 1)
    torch.library.opcheck(FAST.fake_quant_levels_grad_x, plain)
    torch.library.opcheck(FAST.fake_quant_levels_grad, (*plain, 0.5))


def test_threads_do_not_change_a_bit():
    x = torch.randn(64, 5000)
    scale = torch.rand(64) + 0.01
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(FAST.fake_quant_levels_grad(x, x, scale, *levels_of(17), 0, 1.0))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


class Levels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([0.1, 0.2, 0.3]))
        levels, thresholds = levels_of(9)
        self.register_buffer("levels", levels)
        self.register_buffer("thresholds", thresholds)

    def forward(self, x: Tensor) -> Tensor:
        return fake_quant_levels(x, self.scale, self.levels, self.thresholds, channel_axis=1)


def test_script_trace_and_export():
    module, x = Levels(), torch.randn(4, 3, 20)
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(module), buffer)
    loaded = torch.jit.load(io.BytesIO(buffer.getvalue()))
    traced = torch.jit.trace(module, x[:2])
    assert "hybridquant::fake_quant_levels" in str(traced.graph)
    batch = torch.export.Dim("batch")
    program = torch.export.export(module, (x,), dynamic_shapes=({0: batch},))
    for given in (x, x[:3]):
        for other in (loaded, traced, program.module()):
            assert torch.equal(other(given), module(given))


X, LEVELS = torch.zeros(2, 3), torch.tensor([0.0, 1.0, 2.0])
THRESHOLDS = torch.tensor([0.5, 1.5])
BAD_VALUES = [
    ((X, ONE * NAN, LEVELS, THRESHOLDS), "got nan at channel 0; calibrate first"),
    ((X, torch.ones(4), LEVELS, THRESHOLDS, 1), "scale must have 1 or 3 elements"),
    ((X, ONE, LEVELS[:1], THRESHOLDS[:0]), "levels must have 2 to 65536 elements, got 1"),
    ((X, ONE, LEVELS, THRESHOLDS[:1]), "one element less than levels (2), got 1"),
    ((X, ONE, LEVELS * NAN, THRESHOLDS), "levels must be finite, got nan at index 0; calibrate"),
    ((X, ONE, LEVELS, THRESHOLDS * INF), "thresholds must be finite, got inf at index 0"),
    ((X, ONE, LEVELS, -THRESHOLDS), "thresholds must not decrease, got -1.5 behind -0.5"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD_VALUES, ids=[text for _, text in BAD_VALUES])
def test_bad_values(arguments: tuple[object, ...], text: str):
    with pytest.raises(ValueError) as error:
        fake_quant_levels(*arguments)  # type: ignore[arg-type]
    assert str(error.value).startswith("fake_quant_levels: ")
    assert text in str(error.value)
    with pytest.raises(RuntimeError) as portable:
        PORTABLE.fake_quant_levels(*(*arguments, 0)[:5])
    assert str(portable.value) == str(error.value)


@pytest.mark.parametrize("place", range(4))
def test_bad_types(place: int):
    arguments = [X, ONE, LEVELS, THRESHOLDS]
    arguments[place] = arguments[place].double()
    name = ("x", "scale", "levels", "thresholds")[place]
    with pytest.raises(TypeError, match=f"{name} must be float32.*, got float64") as error:
        fake_quant_levels(*arguments)
    with pytest.raises(RuntimeError) as raw:
        FAST.fake_quant_levels(*arguments, 0)
    assert str(raw.value) == str(error.value)


def test_the_result_is_never_minus_zero():
    y = fake_quant_levels(
        torch.tensor([-0.01]), ONE, torch.tensor([-1.0, -0.0, 1.0]), THRESHOLDS - 1
    )
    assert math.copysign(1.0, float(y)) == 1.0
