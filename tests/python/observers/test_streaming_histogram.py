"""StreamingHistogram: grids, growth and exact counts."""

import numpy as np
import pytest
import torch

from hybridquant.observers.streaming_histogram import (
    CHANNEL_BINS,
    TENSOR_BINS,
    StreamingHistogram,
)


def fill(*batches, capacity=None):
    histogram = StreamingHistogram(capacity)
    for rows in batches:
        histogram.add(rows, rows.amin(dim=1), rows.amax(dim=1))
    return histogram


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def assert_same(left, right):
    for name in ("counts", "num_zeros", "first", "exponent", "low", "high"):
        assert torch.equal(getattr(left, name), getattr(right, name)), name


BATCHES = {
    "grows up": [normal(2, 100), normal(2, 100).abs() * 50],
    "grows down": [normal(2, 100), -normal(2, 100).abs() * 50],
    "grows both ways": [normal(2, 100), normal(2, 100, seed=1) * 1000],
    "from zero": [torch.zeros(2, 3), normal(2, 100)],
    "from a constant": [torch.full((2, 3), 7.0), normal(2, 100)],
    "rows differ": [normal(2, 100) * torch.tensor([[1e-3], [1e3]]), normal(2, 100)],
    "tiny to huge": [normal(2, 9) * 1e-30, normal(2, 9) * 1e-15, normal(2, 9)],
    "far from zero": [normal(2, 100) * 1e-3 + 1000, normal(2, 100) + 1000],
    "one value": [torch.full((1, 1), -3.0)],
}


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("capacity", [4, 64, 4096])
def test_counts_are_numpys_on_the_same_edges(name, capacity):
    histogram = fill(*BATCHES[name], capacity=capacity)
    everything = torch.cat(BATCHES[name], dim=1).double().numpy()
    steps = torch.arange(capacity + 1)
    edges = (histogram.first[:, None] + steps) * histogram.width[:, None]
    for row, values in enumerate(everything):
        nonzero = values[values != 0]
        # An open last edge: numpy would count a value on it into the last bin.
        bins = np.append(edges[row].numpy(), np.inf)
        assert histogram.counts[row].tolist() == np.histogram(nonzero, bins)[0][:-1].tolist()
        assert histogram.num_zeros[row].item() == (values == 0).sum()


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("capacity", [4, 64, 4096])
def test_growing_equals_seeing_all_at_once(name, capacity):
    batches = BATCHES[name]
    at_once = fill(torch.cat(batches, dim=1), capacity=capacity)
    assert_same(fill(*batches, capacity=capacity), at_once)
    assert_same(fill(*reversed(batches), capacity=capacity), at_once)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 3.0, 1e30])
@pytest.mark.parametrize("shift", [0.0, 0.5, -20.0])
def test_more_than_half_of_the_bins_cover_the_range(scale, shift):
    histogram = fill((normal(3, 1000) + shift) * scale, capacity=256)
    spread = (histogram.high - histogram.low).double() / histogram.width
    assert bool((spread > 127).all())
    assert histogram.num_used <= 256
    assert histogram.edges().shape == (3, histogram.num_used + 1)
    assert bool((histogram.edges()[:, 0] <= histogram.low).all())
    assert bool((histogram.edges()[:, -1] > histogram.high).all())


def test_default_capacity_depends_on_the_number_of_rows():
    assert fill(normal(1, 10)).capacity == TENSOR_BINS
    assert fill(normal(2, 10)).capacity == CHANNEL_BINS


def test_a_million_values_are_all_counted():
    histogram = fill(*[normal(1, 250_000, seed=i) * (i + 1) for i in range(4)])
    assert (histogram.counts.sum() + histogram.num_zeros.sum()).item() == 1_000_000
