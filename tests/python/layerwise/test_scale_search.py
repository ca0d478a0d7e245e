"""Searches for one quantizer's setting: the sources' formulas, never worse, each channel alone."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hybridquant.layerwise.scale_search import Best, fpcs_search, grid_search
from hybridquant.quantizers import FakeQuant
from hybridquant.quantizers.affine import AffineFakeQuant
from hybridquant.types import QuantSpec

SYMMETRIC = QuantSpec(bits=4, scheme="symmetric")
ASYMMETRIC = QuantSpec(bits=4)


def module(spec: QuantSpec, x: Tensor) -> AffineFakeQuant:
    """Return a quantizer that holds the extremes of ``x`` [channels, values]."""
    quantizer = AffineFakeQuant(spec.qmin, spec.qmax, 0, len(x))
    low, high = x.amin(1).clamp(max=0), x.amax(1).clamp(min=0)
    if spec.scheme == "symmetric":
        quantizer.set_parameters(x.abs().amax(1) / spec.qmax, torch.zeros(len(x)))
    else:
        scale = (high - low) / spec.qmax
        quantizer.set_parameters(scale, (-low / scale).round())
    return quantizer


def squared_error(quantizer: FakeQuant, x: Tensor, apart: bool) -> Callable[[Tensor], Tensor]:
    def measure(_bound: Tensor) -> Tensor:
        error = (quantizer(x) - x).square().double()
        return error.sum(1) if apart else error.sum().reshape(1)

    return measure


@pytest.fixture
def x() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 200, generator=generator) * torch.tensor([[0.1], [1.0], [7.0]])


def test_the_grid_is_that_of_the_sources(x: Tensor) -> None:
    tried = []
    quantizer = module(SYMMETRIC, x[:1])
    start = quantizer.scale.clone()

    def measure(_bound: Tensor) -> Tensor:
        tried.append(float(quantizer.scale / start))
        return torch.ones(1, dtype=torch.float64)

    factors = [0.5 + i * (2.0 - 0.5) / 100 for i in range(101)]
    grid_search(Best(quantizer, measure), SYMMETRIC, (start, torch.zeros(1)), factors)
    assert sorted(tried[1:]) == pytest.approx(factors)
    assert torch.equal(quantizer.scale, start)  # nothing was better


@pytest.mark.parametrize("spec", [SYMMETRIC, ASYMMETRIC], ids=lambda spec: spec.scheme)
@pytest.mark.parametrize("strategy", ["grid", "fpcs"])
def test_a_search_by_channel_is_a_loop_over_channels(
    spec: QuantSpec, strategy: str, x: Tensor
) -> None:
    def search(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quantizer = module(spec, rows)
        best = Best(quantizer, squared_error(quantizer, rows, apart=True))
        before = best.loss
        if strategy == "grid":
            grid_search(best, spec, best.setting, [0.3 + 0.01 * i for i in range(90)])
        else:
            widths = rows.quantile(0.9, 1) - rows.quantile(0.1, 1), rows.amax(1) - rows.amin(1)
            fpcs_search(best, spec, widths, best.setting[1])
        after = squared_error(quantizer, rows, apart=True)(before)
        assert bool((after < before).all())
        torch.testing.assert_close(after, best.loss)
        return quantizer.scale.detach(), quantizer.zero_point.detach(), after

    together = search(x)
    apart = [search(row[None]) for row in x]
    for i in (0, 1):
        assert torch.equal(together[i], torch.cat([each[i] for each in apart]))


def test_zero_points_are_searched_where_the_scheme_has_them() -> None:
    x = torch.cat([torch.tensor([-1.0]), torch.linspace(0.0, 1.0, 4000)])[None]
    quantizer = module(ASYMMETRIC, x)
    best = Best(quantizer, squared_error(quantizer, x, apart=False))
    before = float(quantizer.zero_point)
    grid_search(best, ASYMMETRIC, best.setting, [0.3 + 0.01 * i for i in range(90)])
    assert float(quantizer.zero_point) < before  # the only negative value is given up


def test_fpcs_finds_what_a_fine_grid_finds(x: Tensor) -> None:
    quantizer = module(ASYMMETRIC, x[1:2])
    measure = squared_error(quantizer, x[1:2], apart=False)
    best = Best(quantizer, measure)
    widths = torch.tensor([2.4]), x[1:2].amax(1) - x[1:2].amin(1)
    fpcs_search(best, ASYMMETRIC, widths, torch.tensor([8.0]))
    found = float(best.loss)
    losses = []
    for width in torch.linspace(2.4, float(widths[1]), 200):
        for point in range(16):
            quantizer.set_parameters(width.reshape(1) / 15, torch.tensor([float(point)]))
            losses.append(float(measure(best.loss)))
    assert found <= 1.01 * min(losses)


def test_the_best_of_each_channel_is_kept() -> None:
    x = torch.tensor([[1.0, 2.0], [1.0, 3.0]])
    quantizer = module(SYMMETRIC, x)
    best = Best(quantizer, squared_error(quantizer, x, apart=True))
    zero = torch.zeros(2)
    best.consider((torch.tensor([1.0, 0.01]), zero))
    best.consider((torch.tensor([0.01, 1.0]), zero))
    best.settle()
    assert quantizer.scale.tolist() == [1.0, 1.0]
    assert best.is_changed
    assert best.loss.tolist() == [0.0, 0.0]
