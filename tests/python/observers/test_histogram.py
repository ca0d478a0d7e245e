"""The histogram observer (test_mse.py holds its property test against minmax)."""

import pytest
import torch
from torch.nn import functional as F

from hybridquant.observers import OBSERVERS
from hybridquant.types import QuantSpec


def watch(name, x, **spec):
    options = spec.pop("options", {})
    spec = QuantSpec(observer=name, observer_options=options, **spec)
    observer = OBSERVERS[name](spec, None)
    observer.observe(x)
    scale, zero_point = observer.quantization_parameters()
    fake = torch.fake_quantize_per_tensor_affine(x, scale, zero_point.int(), spec.qmin, spec.qmax)
    return observer.value_range(), (x - fake).double().square().mean().item()


def normal(num_values, seed=0):
    return torch.randn(num_values, generator=torch.Generator().manual_seed(seed))


def test_ends_move_on_their_own():
    # SiLU's lower end must stay while the upper one is cut: shrinking both does worse.
    x = F.silu(2 * normal(100_000))
    (low, high), error = watch("histogram", x, bits=4)
    assert high.item() < 0.8 * x.max().item()
    assert low.item() / x.min().item() > high.item() / x.max().item()
    assert error < 0.7 * watch("mse", x, bits=4)[1]


@pytest.mark.parametrize("num_values", [1000, 50_000])
def test_is_near_the_best_pair_of_ends(num_values):
    x = F.hardswish(2 * normal(num_values))
    _, error = watch("histogram", x, bits=4)
    best = float("inf")
    for i in range(1, 41):
        for j in range(41):
            scale = (x.max() * i / 40 - x.min() * j / 40) / 15
            z = (-x.min() * j / 40 / scale).round()
            fake = torch.fake_quantize_per_tensor_affine(x, scale, z.int(), 0, 15)
            best = min(best, (x - fake).double().square().mean().item())
    # One end at a time may miss the best pair of a coarse grid, but not by much.
    assert error <= best * 1.1


def test_symmetric_is_the_mse_search_in_one_end():
    x = normal(50_000) - 0.5
    (low, high), error = watch("histogram", x, bits=4, scheme="symmetric")
    assert torch.equal(low, -high)
    assert error == pytest.approx(watch("mse", x, bits=4, scheme="symmetric")[1], rel=1e-3)


def test_one_candidate_and_one_round_still_work():
    (low, high), _ = watch("histogram", normal(5000), options={"candidates": 1, "rounds": 1})
    assert low.item() < high.item()


def test_zero_left_out_keeps_the_data_inside():
    # The ideal zero-point is out of range, so the whole range is what minmax has too.
    x = normal(5000).abs() + 5
    (low, high), error = watch("histogram", x, bits=8, include_zero=False)
    assert low.item() >= x.min().item()
    assert high.item() <= x.max().item()
    assert error <= watch("minmax", x, bits=8, include_zero=False)[1]
