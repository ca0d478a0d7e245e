from __future__ import annotations

from unittest import mock

import pytest
import torch
from affine_cases import CASES, DTYPES, TORCH_CASES, Case
from torch import Tensor

from hybridquant.ops import fake_quant_affine
from hybridquant.ops.reference import fake_quant_affine_grad_ref

# Float32 lanes of at most 128 terms each against a float64 sum: a few units of 2^-24 of the sum of
# magnitudes.
SUM_TOLERANCE = 2e-6


def gradients(
    case: Case, x: Tensor, g: Tensor, learned: bool = True, grad_factor: float = 1.0
) -> tuple[Tensor | None, ...]:
    scale, zero_point = (p.requires_grad_(learned) for p in case.parameters())
    x = x.detach().requires_grad_()
    y = fake_quant_affine(x, scale, zero_point, *case.codes, case.channel_axis, grad_factor)
    y.backward(g)
    return x.grad, scale.grad, zero_point.grad


def upstream(x: Tensor) -> Tensor:
    return torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(x.dtype)


def assert_sums_close(got: Tensor, expected: Tensor, terms: Tensor) -> None:
    assert got.shape == expected.shape
    bound = SUM_TOLERANCE * (float(terms.abs().sum()) if terms.numel() else 0.0)
    torch.testing.assert_close(got, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("grad_factor", [1.0, 0.125])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_learned_step_equals_reference(case: Case, dtype: torch.dtype, grad_factor: float) -> None:
    x = case.inputs(dtype)
    g = upstream(x)
    expected = fake_quant_affine_grad_ref(
        g, x, *case.parameters(), *case.codes, case.channel_axis, grad_factor
    )
    gx, gscale, gzero_point = gradients(case, x, g, grad_factor=grad_factor)
    assert gx.dtype == dtype
    assert torch.equal(gx, expected[0])
    largest = max(map(abs, case.codes))
    assert_sums_close(gscale, expected[1], g.float() * largest * grad_factor)
    assert_sums_close(gzero_point, expected[2], g.float() * grad_factor)


@pytest.mark.parametrize("case", TORCH_CASES, ids=str)
def test_straight_through_equals_torch(case: Case) -> None:
    x = case.inputs()
    g = upstream(x)
    scale, zero_point = case.parameters()
    theirs = x.clone().requires_grad_()
    if case.axis is None:
        y = torch.fake_quantize_per_tensor_affine(
            theirs, float(scale), int(zero_point), *case.codes
        )
    else:
        axis = case.channel_axis % x.dim()
        y = torch.fake_quantize_per_channel_affine(
            theirs, scale, zero_point.int(), axis, *case.codes
        )
    y.backward(g)
    gx, gscale, gzero_point = gradients(case, x, g, learned=False)
    assert torch.equal(gx, theirs.grad)
    assert gscale is None
    assert gzero_point is None


@pytest.mark.parametrize("case", [c for c in TORCH_CASES if c.shape and 0 not in c.shape], ids=str)
def test_learned_step_has_torchs_meaning(case: Case) -> None:
    # Away from ties, which torch's learnable ops do not round as its other ops do, and without
    # negative zero-points, which they move by one.
    x = case.inputs(has_ties=False)
    g = upstream(x)
    scale, zero_point = case.parameters()
    zero_point = zero_point.clamp(min=0)
    axis = case.channel_axis % x.dim()
    results = []
    for op in ("ours", "theirs"):
        leaves = [p.clone().requires_grad_() for p in (x, scale, zero_point)]
        if op == "ours":
            y = fake_quant_affine(*leaves, *case.codes, axis, 0.5)
        elif case.axis is None:
            y = torch._fake_quantize_learnable_per_tensor_affine(*leaves, *case.codes, 0.5)
        else:
            y = torch._fake_quantize_learnable_per_channel_affine(*leaves, axis, *case.codes, 0.5)
        y.backward(g)
        results.append([leaf.grad for leaf in leaves])
    ours, theirs = results
    assert torch.equal(ours[0], theirs[0])
    # Theirs computes (x_hat - x) / scale and sums in float32: allow it twice our own error.
    terms = g * max(map(abs, case.codes))
    assert_sums_close(ours[1], theirs[1], 2 * terms)
    assert_sums_close(ours[2], theirs[2], 2 * g)


def test_a_nan_has_no_gradient() -> None:
    case = Case((4,), None, (0, 7))
    x = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.01])
    gx, gscale, gzero_point = gradients(case, x, torch.ones(4))
    assert gx.tolist() == [0, 0, 0, 1]
    assert gscale.isfinite().all()
    assert gzero_point.isfinite().all()


@pytest.mark.parametrize("shape", [(100_000,), (64, 5000), (5000, 64), (7, 3000, 3)], ids=str)
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_threads_do_not_change_a_bit(shape: tuple[int, ...], axis: int | None) -> None:
    case = Case(shape, axis, (-8, 7))
    x = case.inputs()
    g = upstream(x)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(gradients(case, x, g))
    finally:
        torch.set_num_threads(before)
    for others in results[1:]:
        assert all(map(torch.equal, results[0], others))


STRIDED = {
    "transposed": lambda x: x.transpose(0, 3),
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "sliced": lambda x: x[:, :, 1:, ::2],
    "expanded": lambda x: x[:, :1].expand(-1, 5, -1, -1),
}


@pytest.mark.parametrize("axis", [None, 1, 3])
@pytest.mark.parametrize("g_name", STRIDED)
@pytest.mark.parametrize("x_name", ["contiguous", *STRIDED])
def test_any_strides(x_name: str, g_name: str, axis: int | None) -> None:
    x = torch.randn(4, 6, 10, 8)
    x = STRIDED[x_name](x) if x_name != "contiguous" else x
    g = STRIDED[g_name](torch.randn(4, 6, 10, 8))
    g = g if g.shape == x.shape else g.sum().expand(x.shape)
    case = Case(tuple(x.shape), axis, (-8, 7))
    expected = fake_quant_affine_grad_ref(g, x, *case.parameters(), *case.codes, case.channel_axis)
    got = gradients(case, x, g)
    assert torch.equal(got[0], expected[0])
    assert_sums_close(got[1], expected[1], g * 8)
    assert_sums_close(got[2], expected[2], g)


@pytest.mark.parametrize(
    ("learn_scale", "learn_zero_point", "op"),
    [
        (False, False, "fake_quant_affine_grad_x"),
        (True, False, "fake_quant_affine_grad"),
        (False, True, "fake_quant_affine_grad"),
    ],
)
def test_sums_are_computed_only_when_asked(
    learn_scale: bool, learn_zero_point: bool, op: str
) -> None:
    x = torch.randn(10, requires_grad=True)
    scale = torch.ones(1, requires_grad=learn_scale)
    zero_point = torch.zeros(1, requires_grad=learn_zero_point)
    y = fake_quant_affine(x, scale, zero_point, -2, 1)
    with mock.patch.object(
        torch.ops.hybridquant, op, wraps=getattr(torch.ops.hybridquant, op)
    ) as spy:
        y.sum().backward()
    assert spy.call_count == 1
    assert (scale.grad is not None) == learn_scale
    assert (zero_point.grad is not None) == learn_zero_point


def test_a_scripted_function_is_differentiable() -> None:
    x = torch.randn(10, requires_grad=True)
    scale = torch.ones(1, requires_grad=True)
    scripted = torch.jit.script(fake_quant_affine)
    scripted(x, scale, torch.zeros(1), -2, 1).sum().backward()
    got = x.grad, scale.grad
    x.grad = scale.grad = None
    fake_quant_affine(x, scale, torch.zeros(1), -2, 1).sum().backward()
    assert torch.equal(got[0], x.grad)
    assert torch.equal(got[1], scale.grad)


def test_wrong_gradients_are_refused() -> None:
    x, one = torch.zeros(3), torch.ones(1)
    with pytest.raises(RuntimeError, match="the gradient must have the shape of x"):
        torch.ops.hybridquant.fake_quant_affine_grad_x(torch.zeros(4), x, one, one, 0, 0, 7)
    with pytest.raises(RuntimeError, match="the gradient must be float32 as x is, got float16"):
        torch.ops.hybridquant.fake_quant_affine_grad_x(x.half(), x, one, one, 0, 0, 7)
