"""The entropy observer: against a plain transcription of the rule, and what it is for."""

import math

import pytest
import torch
from torch.nn import functional as F

from hybridquant.observers.entropy import EntropyObserver, _divergence
from hybridquant.types import QuantSpec


def watch(x, **spec):
    axis = 0 if spec.get("granularity") == "channel" else None
    observer = EntropyObserver(QuantSpec(observer="entropy", **spec), axis)
    observer.observe(x)
    return observer.value_range()


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow_divergence(counts, start, stop, num_levels):
    """KL(P || Q) bin by bin, as TensorRT's slides put it."""
    inside = counts[start:stop]
    p = list(inside)
    p[0] += sum(counts[:start])
    p[-1] += sum(counts[stop:])
    levels = [i * num_levels // (stop - start) for i in range(stop - start)]
    q = [0.0] * len(p)
    for level in range(num_levels):
        members = [i for i in range(len(p)) if levels[i] == level and inside[i] > 0]
        for i in members:
            q[i] = sum(inside[j] for j in members) / len(members)
    if sum(q) == 0:
        return math.nan
    p = [value / sum(p) for value in p]
    q = [value / sum(q) for value in q]
    q = [1e-4 if b == 0 and a > 0 else b for a, b in zip(p, q, strict=True)]
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


@pytest.mark.parametrize(
    ("start", "stop", "num_levels"), [(0, 40, 8), (0, 40, 40), (5, 33, 8), (10, 18, 8), (0, 9, 4)]
)
def test_divergence_equals_the_plain_form(start, stop, num_levels):
    generator = torch.Generator().manual_seed(stop)
    counts = torch.randint(0, 50, (3, 40), generator=generator).double()
    counts[1, ::3] = 0
    counts[2, 20:] = 0
    got = _divergence(counts, torch.full((3,), start), torch.full((3,), stop), num_levels)
    expected = [slow_divergence(row.tolist(), start, stop, num_levels) for row in counts]
    assert got.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric"])
def test_an_outlier_is_cut_off(scheme):
    x = torch.cat([normal(100_000), torch.tensor([200.0])])
    _, high = watch(x, scheme=scheme)
    assert 2.0 < high.item() < 60.0


def test_an_even_distribution_is_kept():
    x = torch.linspace(-1, 1, 100_001)
    for scheme in ("symmetric", "asymmetric"):
        assert watch(x, scheme=scheme)[1].item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric"])
def test_the_spike_of_a_relu_does_not_matter(scheme):
    x = normal(100_000)
    with_spike = watch(F.relu(x), scheme=scheme)[1]
    without = watch(x[x > 0], scheme=scheme)[1]
    assert torch.equal(with_spike, without)
    assert with_spike.item() > 2.5


def test_mirrored_data_gets_the_mirrored_range():
    x = normal(100_000).abs() + 0.1
    low, high = watch(x)
    mirrored_low, mirrored_high = watch(-x)
    # Bins are closed below and open above, so the mirror image sits a bin aside, and where the
    # divergence is flat another window may win.
    assert mirrored_low.item() == pytest.approx(-high.item(), rel=0.05)
    assert mirrored_high.item() <= 0.0
    assert low.item() >= 0.0


def test_nothing_is_clipped_where_there_are_too_few_bins_or_values():
    x = normal(100_000)
    assert watch(x, bits=16)[1].item() == x.max().item()
    rows = normal(4, 9)  # depthwise filters
    low, high = watch(rows, granularity="channel", scheme="symmetric")
    assert torch.equal(high, rows.abs().amax(dim=1))
    assert torch.equal(low, -high)


def test_zero_left_out_shrinks_towards_the_data():
    x = normal(100_000).abs() + 5
    low, high = watch(x, include_zero=False)
    assert 5.0 <= low.item() < 5.1
    assert 5.5 < high.item() <= x.max().item()
    low, high = watch(-x, include_zero=False)
    assert -5.1 < high.item() <= -5.0
    assert -x.max().item() <= low.item() < -5.5
