from __future__ import annotations

import pytest
import torch

from hybridquant.observers.distribution import Distribution
from hybridquant.samples import Samples

LEVELS = torch.tensor([-0.5, 0.0, 0.25, 1.0])
THRESHOLDS = torch.tensor([-0.2, 0.1, 0.7])


def brute_force(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    t = x.double() / scale[:, None].double()
    level = LEVELS.double()[torch.bucketize(t, THRESHOLDS.double(), right=True)]
    return ((t - level) * scale[:, None]).square().sum(1)


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.5])
def test_points_have_the_error_of_the_values(scale: float):
    x = torch.randn(3, 200, generator=torch.Generator().manual_seed(0))
    scales = torch.tensor([scale, 1.0, 2 * scale])
    error = Samples.of(x).squared_error(LEVELS, THRESHOLDS, scales)
    torch.testing.assert_close(error, brute_force(x, scales))


def test_stretches_have_the_integral_of_the_error():
    # Bins wider than levels, across several thresholds, and a point.
    low = torch.tensor([[-2.0, -0.3, 0.05, 0.5]], dtype=torch.float64)
    high = torch.tensor([[-1.0, 0.9, 0.05, 3.0]], dtype=torch.float64)
    counts = torch.tensor([[10.0, 30.0, 7.0, 20.0]], dtype=torch.float64)
    samples = Samples(low, high, counts)
    fine = torch.linspace(0, 1, 200_001, dtype=torch.float64)
    fine = (fine[1:] + fine[:-1]) / 2
    for scale in (torch.tensor([1.0]), torch.tensor([0.4])):
        expected = 0.0
        for a, b, count in zip(low[0], high[0], counts[0], strict=True):
            x = (a + (b - a) * fine)[None]
            expected += float(brute_force(x, scale) / fine.numel() * count)
        error = samples.squared_error(LEVELS, THRESHOLDS, scale)
        assert float(error) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("count", [300, 50_000])
def test_a_distribution_gives_its_values(count: int):
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(2, count, generator=generator).relu() * torch.tensor([[1.0], [30.0]])
    distribution = Distribution()
    for part in rows.split(count // 5, dim=1):
        distribution.add(part, part.amin(1), part.amax(1))
    samples = distribution.samples()
    assert torch.equal(samples.counts.sum(1), torch.full([2], float(count)).double())
    assert torch.equal(samples.smallest, rows.amin(1).double())
    assert torch.equal(samples.largest, rows.amax(1).double())
    # At most a bin of a histogram off.
    slack = rows.amax(1).double() * (0 if count < 4096 else 2 / 1024)
    for fraction in (0.3, 0.5, 0.9, 0.999):
        value = samples.quantile(fraction)
        below = (rows < (value - slack)[:, None]).sum(1)
        at_most = (rows <= (value + slack)[:, None]).sum(1)
        assert bool(((below <= fraction * count) & (fraction * count <= at_most)).all()), fraction
    error = samples.squared_error(LEVELS, THRESHOLDS)
    torch.testing.assert_close(error, brute_force(rows, torch.ones(2)), rtol=2e-2, atol=0)


def test_a_row_of_zeros():
    samples = Samples.of(torch.zeros(1, 5))
    assert float(samples.magnitude) == 0
    assert float(samples.quantile(0.5)) == 0
