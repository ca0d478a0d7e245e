"""Normalisations."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

CASES = [
    ("layer norm", nn.LayerNorm(8), ["layer_norm"]),
    ("without weights", nn.LayerNorm(8, elementwise_affine=False), ["layer_norm"]),
    ("group norm", nn.GroupNorm(3, 3), ["group_norm"]),
    ("instance norm", nn.InstanceNorm2d(3, affine=True), ["group_norm"]),
    ("rms norm", nn.RMSNorm(8), ["rms_norm"]),
    ("batch norm alone", nn.BatchNorm2d(3), ["batch_norm"]),
]


@pytest.mark.parametrize(("module", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_modules(check, module, expected):
    assert check(module).kinds == expected


FUNCTIONS = [
    ("normalize", lambda x: F.normalize(x, dim=1), ["vector_norm", "clamp", "div"]),
    ("var", lambda x: x.var((2, 3)), ["mean", "sub", "mul", "mean", "mul"]),
    ("biased var", lambda x: x.var(1, unbiased=False), ["mean", "sub", "mul", "mean"]),
    ("var_mean", lambda x: sum(torch.var_mean(x, -1, keepdim=True)), None),
    ("1-norm", lambda x: x.norm(1, dim=(2, 3)), ["abs", "sum"]),
    ("largest magnitude", lambda x: x.norm(float("inf"), dim=-1), ["abs", "amax"]),
    ("std", lambda x: x.std(1), None),
]


@pytest.mark.parametrize(
    ("function", "expected"), [c[1:] for c in FUNCTIONS], ids=[c[0] for c in FUNCTIONS]
)
def test_functions(check, function, expected):
    found = check(function).kinds
    assert found == expected or expected is None
