"""Distribution: error of a quantizer and quantiles, exact or from a histogram."""

import pytest
import torch
from torch.nn import functional as F

from hybridquant.observers import affine_parameters
from hybridquant.observers.distribution import EXACT_LIMIT, Distribution
from hybridquant.types import QuantSpec


def fill(*batches, **options):
    distribution = Distribution(**options)
    for rows in batches:
        distribution.add(rows, rows.amin(dim=1), rows.amax(dim=1))
    return distribution


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def true_error(rows, scale, zero_point, spec, exponent):
    fake = torch.fake_quantize_per_channel_affine(
        rows, scale, zero_point.int(), 0, spec.qmin, spec.qmax
    )
    return (rows.double() - fake.double()).abs().pow(exponent).sum(dim=1)


SPECS = [
    QuantSpec(bits=bits, scheme=scheme)
    for bits in (2, 4, 8, 16)
    for scheme in ("symmetric", "asymmetric")
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.bits}-{spec.scheme}")
@pytest.mark.parametrize("exponent", [1.0, 2.0, 2.4])
@pytest.mark.parametrize("shrink", [1.0, 0.3])
def test_error_of_kept_values_is_exact(spec, exponent, shrink):
    rows = normal(5, 200) * torch.tensor([[1.0], [10.0], [0.0], [1e-3], [7.0]])
    distribution = fill(rows[:, :50], rows[:, 50:])
    scale, zero_point = affine_parameters(
        distribution.low * shrink, distribution.high * shrink, spec
    )
    got = distribution.error(scale, zero_point, spec, exponent)
    expected = true_error(rows, scale, zero_point, spec, exponent)
    # Sums of float32 errors against sums of float64 differences of float32 numbers.
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-9)


SHAPES = {
    "normal": normal(1, 100_000),
    "relu": normal(1, 100_000).relu(),
    "silu": F.silu(2 * normal(1, 100_000)),
    "hard-swish": F.hardswish(2 * normal(1, 100_000)),
    "uniform": normal(1, 100_000).erf() + 0.5,
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("exponent", [1.0, 2.0, 2.4])
@pytest.mark.parametrize("shrink", [1.0, 0.3])
def test_error_of_a_histogram_is_close(name, bits, exponent, shrink):
    rows, spec = SHAPES[name], QuantSpec(bits=bits)
    distribution = fill(*rows.split(30_000, dim=1))
    scale, zero_point = affine_parameters(
        distribution.low * shrink, distribution.high * shrink, spec
    )
    got = distribution.error(scale, zero_point, spec, exponent)
    expected = true_error(rows, scale, zero_point, spec, exponent)
    # The spread of a sum over 100,000 values (0.3 %), and SiLU's many values near its minimum,
    # which one 8-bit step does not see as evenly spread.
    torch.testing.assert_close(got, expected, rtol=2e-2, atol=0.0)


def test_zeros_cost_nothing_where_zero_is_a_code():
    rows = torch.zeros(1, EXACT_LIMIT + 1)
    rows[0, 0] = 1.0
    spec = QuantSpec(bits=8)
    distribution = fill(rows)
    error = distribution.error(*affine_parameters(torch.zeros(1), torch.ones(1), spec), spec, 2.0)
    # The single other value is spread over a bin: at most a step squared.
    assert error.item() <= (1 / 255) ** 2


def test_zeros_cost_what_they_cost_where_zero_is_none():
    rows = torch.zeros(1, EXACT_LIMIT + 1)
    rows[0, 0] = 1e-6
    spec = QuantSpec(bits=8)
    # Codes 0 to 255 stand for 10 to 265: every zero decodes to 10.
    error = fill(rows).error(torch.ones(1), torch.tensor([-10.0]), spec, 2.0)
    assert error.item() == pytest.approx(100.0 * (EXACT_LIMIT + 1), rel=1e-5)


@pytest.mark.parametrize("num_values", [EXACT_LIMIT - 1, EXACT_LIMIT, EXACT_LIMIT + 1])
def test_the_histogram_takes_over_beyond_the_limit(num_values):
    rows = normal(2, num_values)
    for distribution in (fill(rows), fill(rows[:, :1000], rows[:, 1000:])):
        is_exact = bool((distribution.uncertainty == 0).all())
        assert is_exact == (num_values <= EXACT_LIMIT)
        assert torch.equal(distribution.low, rows.amin(dim=1))
        assert torch.equal(distribution.high, rows.amax(dim=1))


def test_quantiles_of_both_forms_agree():
    rows = normal(1, 3000)
    exact, histogram = fill(rows), fill(rows, exact_limit=10)
    for fraction in (0.0, 0.001, 0.25, 0.5, 0.999, 1.0):
        torch.testing.assert_close(
            histogram.quantile(fraction),
            exact.quantile(fraction),
            rtol=0.0,
            atol=float(exact.high - exact.low) / 2047,
        )
