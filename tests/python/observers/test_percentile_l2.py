"""The observer that chooses among three pairs of quantiles."""

import pytest
import torch

from hybridquant.observers.parameters import affine_parameters
from hybridquant.observers.percentile_l2 import PercentileL2Observer
from hybridquant.types import QuantSpec

PERCENTILES = (0.999, 0.9999, 0.99999)


def brute_force(x, spec):
    """Return the best range of one channel, by torch.quantile and by rounding every value."""
    found = []
    for p in PERCENTILES:
        low, high = (x.double().quantile(q).float() for q in (1 - p, p))
        scale, zero_point = affine_parameters(low, high, spec)
        code = ((x / scale).round() + zero_point).clamp(spec.qmin, spec.qmax)
        error = ((code - zero_point) * scale - x).double().square().sum()
        found.append((float(error), low.item(), high.item()))
    return min(found)[1:]


@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("tail", [1.0, 2.0, 6.0])
def test_agrees_with_brute_force(scheme, bits, tail):
    spec = QuantSpec(bits=bits, scheme=scheme, granularity="channel")
    x = torch.randn(2, 4000, generator=torch.Generator().manual_seed(bits))
    x[:, :6] *= tail
    x[1] *= 100
    observer = PercentileL2Observer(spec, 0)
    observer.observe(x[:, :1000])
    observer.observe(x[:, 1000:])
    low, high = observer.value_range()
    for channel in range(2):
        expected = brute_force(x[channel], spec)
        assert (low[channel].item(), high[channel].item()) == pytest.approx(expected, rel=1e-5)


def test_the_tail_decides():
    x = torch.linspace(0, 1, 4000).repeat(2, 1)
    x[0, -1], x[1, -1] = 3.0, 12.0
    observer = PercentileL2Observer(QuantSpec(bits=4, granularity="channel"), 0)
    observer.observe(x)
    _, high = observer.value_range()
    assert high[0].item() == pytest.approx(x[0].double().quantile(PERCENTILES[0]).item(), rel=1e-5)
    assert high[1].item() == pytest.approx(x[1].double().quantile(PERCENTILES[1]).item(), rel=1e-5)


def test_a_long_stream_is_a_histogram():
    x = torch.randn(300_000, generator=torch.Generator().manual_seed(0))
    spec = QuantSpec(bits=8)
    observer = PercentileL2Observer(spec, None)
    for batch in x.split(50_000):
        observer.observe(batch)
    low, high = observer.value_range()
    expected = brute_force(x, spec)
    bin_width = (x.max() - x.min()).item() / 2047
    assert (low.item(), high.item()) == pytest.approx(expected, abs=bin_width)
