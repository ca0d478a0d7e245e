"""The mse observer: never worse than minmax, and the best of its grid."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from hybridquant.observers import OBSERVERS, affine_parameters
from hybridquant.observers.mse import MseObserver
from hybridquant.types import QuantSpec

DISTRIBUTIONS = {
    "normal": lambda x, a: x + a - 2,
    "one-sided": lambda x, a: x.abs() + a,
    "heavy-tailed": lambda x, a: x * torch.exp(a * x.roll(1)),
    "silu": lambda x, a: F.silu(a * x),
    "hard-swish": lambda x, a: F.hardswish(a * x),
    "clipped": lambda x, a: (a * x).clamp(0, 6),
    "grid": lambda x, a: (x * 8).round() * a,
    "sparse": lambda x, a: x * (x.roll(1) > 1.8) * a,
    "outlier": lambda x, a: torch.cat([x.flatten(), torch.tensor([10.0 ** (a + 1)])]),
    "constant": lambda x, a: torch.full_like(x, a - 2),
}


def squared_error(name, x, spec):
    observer = OBSERVERS[name](spec, None)
    for batch in x.flatten().tensor_split(3):
        observer.observe(batch)
    scale, zero_point = observer.quantization_parameters()
    fake = torch.fake_quantize_per_tensor_affine(x, scale, zero_point.int(), spec.qmin, spec.qmax)
    return (x - fake).double().square().sum().item()


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(
    distribution=st.sampled_from(sorted(DISTRIBUTIONS)),
    shape=st.floats(0.1, 4.0),
    magnitude=st.floats(-3, 3),
    # Below, around and above the limit for keeping values.
    num_values=st.sampled_from([3, 50, 1000, 4095, 4097, 20_000]),
    seed=st.integers(0, 1000),
    bits=st.sampled_from([2, 3, 4, 5, 6, 7, 8, 16]),
    scheme=st.sampled_from(["symmetric", "asymmetric"]),
    name=st.sampled_from(["mse", "histogram"]),
)
def test_never_worse_than_minmax(
    distribution, shape, magnitude, num_values, seed, bits, scheme, name
):
    x = torch.randn(num_values, generator=torch.Generator().manual_seed(seed))
    x = DISTRIBUTIONS[distribution](x, shape) * 10.0**magnitude
    spec = QuantSpec(bits=bits, scheme=scheme)
    whole = squared_error("minmax", x, spec)
    # 1e-6: errors are summed in another order than the observer sums them.
    assert squared_error(name, x, spec) <= whole * (1 + 1e-6)


@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("exponent", [2.0, 2.4])
def test_is_the_best_factor_by_brute_force(scheme, bits, exponent):
    x = torch.randn(3, 500, generator=torch.Generator().manual_seed(bits))
    x[1] = F.silu(x[1])
    x[2, 0] = 40.0
    spec = QuantSpec(
        bits=bits,
        scheme=scheme,
        granularity="channel",
        observer_options={"exponent": exponent, "candidates": 20},
    )
    observer = MseObserver(spec, 0)
    observer.observe(x)
    scale = observer.quantization_parameters()[0]

    def errors(factor):
        scale, zero_point = affine_parameters(x.amin(1) * factor, x.amax(1) * factor, spec)
        fake = torch.fake_quantize_per_channel_affine(
            x, scale, zero_point.int(), 0, spec.qmin, spec.qmax
        )
        return (x - fake).double().abs().pow(exponent).sum(dim=1), scale

    table = [errors(i / 20) for i in range(20, 0, -1)]
    best = torch.stack([error for error, _ in table]).argmin(dim=0)
    expected = torch.stack([scale for _, scale in table]).gather(0, best[None])[0]
    torch.testing.assert_close(scale, expected)


def test_fewer_bits_clip_more():
    x = torch.randn(50_000, generator=torch.Generator().manual_seed(0))
    highs = []
    for bits in (8, 6, 4, 2):
        observer = MseObserver(QuantSpec(bits=bits), None)
        observer.observe(x)
        highs.append(observer.value_range()[1].item())
    assert highs == sorted(highs, reverse=True)
    # Known optimum: a Gaussian's best 4-bit uniform quantizer ends near 2.6 to 2.9 deviations.
    assert 2.5 < highs[2] < 3.0


def test_one_candidate_is_minmax():
    x = torch.randn(50_000, generator=torch.Generator().manual_seed(0))
    observer = MseObserver(QuantSpec(bits=2, observer_options={"candidates": 1}), None)
    observer.observe(x)
    assert observer.value_range()[1].item() == x.max().item()
