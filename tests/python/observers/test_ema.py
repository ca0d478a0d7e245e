"""The ema observer."""

import pytest
import torch

from hybridquant.observers.ema import EmaObserver
from hybridquant.types import QuantSpec


def watch(momentum, *batches):
    options = {} if momentum is None else {"momentum": momentum}
    observer = EmaObserver(QuantSpec(observer_options=options), None)
    for low, high in batches:
        observer.observe(torch.tensor([low, high]))
    return [bound.item() for bound in observer.value_range()]


# momentum, batches as (low, high), expected range
CASES = [
    (None, [(-1.0, 2.0)], (-1.0, 2.0)),  # the first batch sets the range
    (None, [(-1.0, 2.0), (-2.0, 3.0)], (-1.01, 2.01)),  # default 0.01, as FQ-ViT
    (0.5, [(0.0, 1.0), (0.0, 3.0), (-4.0, 2.0)], (-2.0, 2.0)),
    (0.0, [(0.0, 1.0), (0.0, 9.0)], (0.0, 1.0)),
    (1.0, [(0.0, 1.0), (-1.0, 9.0)], (-1.0, 9.0)),
    (0.05, [(-1.0, 1.0), (-3.0, 3.0)], (-1.1, 1.1)),  # I-ViT's 0.95
]


@pytest.mark.parametrize(("momentum", "batches", "expected"), CASES)
def test_values(momentum, batches, expected):
    assert watch(momentum, *batches) == pytest.approx(expected, rel=1e-6)


def test_equal_ends_never_cross():
    observer = EmaObserver(QuantSpec(granularity="channel"), 0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        x = torch.randn(1000, 1, generator=generator)
        observer.observe(torch.cat([x, torch.nextafter(x, x + 1)], dim=1))
    low, high = observer.value_range()
    assert bool((low <= high).all())
