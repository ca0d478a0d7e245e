"""The percentile observer."""

import numpy as np
import pytest
import torch

from hybridquant.observers.percentile import PercentileObserver
from hybridquant.types import QuantSpec


def watch(x, options, axis=None):
    spec = QuantSpec(observer_options=options, granularity="tensor" if axis is None else "channel")
    observer = PercentileObserver(spec, axis)
    for batch in x if isinstance(x, tuple) else (x,):
        observer.observe(batch)
    return observer.value_range()


OPTIONS = [
    ({}, 0.00001, 0.99999),
    ({"percentile": 0.999}, 0.001, 0.999),
    ({"lower": 0.1}, 0.1, 0.99999),
    ({"upper": 0.9}, 0.00001, 0.9),
    ({"lower": 0.0, "upper": 1.0}, 0.0, 1.0),
    ({"percentile": 1.0}, 0.0, 1.0),
]


@pytest.mark.parametrize(("options", "lower", "upper"), OPTIONS)
@pytest.mark.parametrize("num_values", [7, 4096, 4097, 200_000])
def test_agrees_with_numpy(options, lower, upper, num_values):
    x = torch.randn(num_values, generator=torch.Generator().manual_seed(num_values))
    # Kept values are exact; a histogram has at least 2047 bins over the range.
    tolerance = 1e-6 if num_values <= 4096 else (x.max() - x.min()).item() / 2047
    for got, fraction in zip(watch(x, options), (lower, upper), strict=True):
        # numpy: torch.quantile works out the rank in float32.
        expected = np.quantile(x.double().numpy(), fraction)
        assert got.item() == pytest.approx(expected, abs=tolerance)


def test_channels_agree_with_torch():
    x = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [1.0, 50.0, 0.1]
    )
    low, high = watch((x[:5000], x[5000:]), {"percentile": 0.99}, axis=1)
    tolerance = (x.amax(0) - x.amin(0)) / 511
    assert bool(((low - x.quantile(0.01, dim=0)).abs() <= tolerance).all())
    assert bool(((high - x.quantile(0.99, dim=0)).abs() <= tolerance).all())


def test_many_zeros_are_counted():
    x = torch.cat([torch.zeros(9000), torch.linspace(1, 2, 1000)])
    low, high = watch(x, {"lower": 0.5, "upper": 0.95})
    assert low.item() == pytest.approx(0.0, abs=2 / 2047)
    assert high.item() == pytest.approx(1.5, abs=2 * 2 / 2047)


def test_an_outlier_is_cut_off():
    x = torch.cat([torch.linspace(-1, 1, 500_000), torch.tensor([1e4])])
    low, high = watch(x, {})
    assert high.item() < 10.0
    assert low.item() == pytest.approx(-1.0, abs=1e4 / 2047)
