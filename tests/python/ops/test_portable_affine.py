"""The path for devices without kernels, run on the CPU and held to the kernels."""

from __future__ import annotations

import pytest
import torch
from affine_cases import CASES, DTYPES, Case, bits

FAST, PORTABLE = torch.ops.hybridquant, torch.ops.hybridquant_portable
SUM_TOLERANCE = 2e-6  # as in test_autograd.py


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_the_kernels(case: Case, dtype: torch.dtype) -> None:
    x = case.inputs(dtype)
    if x.numel() > 3:
        x.view(-1)[:3] = torch.tensor([float("nan"), float("inf"), -float("inf")])
    parameters = (*case.parameters(), case.channel_axis)
    y = PORTABLE.fake_quant_affine(x, *parameters, *case.codes)
    expected = FAST.fake_quant_affine(x, *parameters, *case.codes)
    assert y.dtype == dtype
    assert torch.equal(y.isnan(), expected.isnan())
    assert torch.equal(bits(y.nan_to_num()), bits(expected.nan_to_num()))
    q = PORTABLE.quantize_affine(x, *parameters, *case.codes)
    assert q.dtype == FAST.quantize_affine(x, *parameters, *case.codes).dtype
    assert torch.equal(q, FAST.quantize_affine(x, *parameters, *case.codes))
    assert torch.equal(
        PORTABLE.dequantize_affine(q, *parameters), FAST.dequantize_affine(q, *parameters)
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_equal_the_kernels(case: Case, dtype: torch.dtype) -> None:
    x = case.inputs(dtype)
    if x.numel() > 3:
        x.view(-1)[:3] = torch.tensor([float("nan"), float("inf"), -float("inf")])
    g = torch.randn(x.shape).to(dtype)
    arguments = (g, x, *case.parameters(), case.channel_axis, *case.codes)
    got = PORTABLE.fake_quant_affine_grad(*arguments, 0.5)
    expected = FAST.fake_quant_affine_grad(*arguments, 0.5)
    assert torch.equal(got[0], expected[0])
    assert torch.equal(PORTABLE.fake_quant_affine_grad_x(*arguments), expected[0])
    magnitude = float(g.float().abs().sum()) if g.numel() else 0.0
    bound = SUM_TOLERANCE * magnitude * max(map(abs, case.codes))
    for ours, theirs in zip(got[1:], expected[1:], strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=0, atol=bound)


@pytest.mark.parametrize("op", ["fake_quant_affine", "quantize_affine"])
def test_checks_are_the_same(op: str) -> None:
    nan = torch.tensor([float("nan")])
    texts = []
    for ops in (FAST, PORTABLE):
        with pytest.raises(RuntimeError, match="calibrate first") as error:
            getattr(ops, op)(torch.zeros(3), nan, torch.zeros(1), 0, 0, 7)
        texts.append(str(error.value))
    assert texts[0] == texts[1]
