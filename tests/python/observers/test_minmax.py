"""The minmax observer."""

import pytest
import torch

from hybridquant.observers.minmax import MinMaxObserver
from hybridquant.types import QuantSpec


@pytest.mark.parametrize("shape", [(1,), (17,), (4, 3, 5, 7)])
def test_tensor_range_is_aminmax(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    observer = MinMaxObserver(QuantSpec(), None)
    observer.observe(x)
    low, high = observer.value_range()
    assert (low.item(), high.item()) == (x.min().item(), x.max().item())


@pytest.mark.parametrize("axis", [0, 1, 3, -1])
def test_channel_range_is_aminmax_over_the_rest(axis):
    x = torch.randn(4, 3, 5, 7, generator=torch.Generator().manual_seed(2))
    observer = MinMaxObserver(QuantSpec(granularity="channel"), axis)
    for batch in (x, x * 0.5, -2 * x):
        observer.observe(batch)
    rest = [i for i in range(4) if i != axis % 4]
    everything = torch.stack([x, x * 0.5, -2 * x], dim=4)
    low, high = observer.value_range()
    assert torch.equal(low, everything.amin([*rest, 4]))
    assert torch.equal(high, everything.amax([*rest, 4]))
