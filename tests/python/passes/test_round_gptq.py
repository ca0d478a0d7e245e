"""GPTQ and coordinate descent: on the grid, better than nearest values, exact on small cases."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hybridquant.calibration import Calibration
from hybridquant.capture import capture
from hybridquant.layerwise import products_of
from hybridquant.layerwise.products import present_bias
from hybridquant.layerwise.rounding import Grid, damped, descend, gptq, ridge
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph, prepare
from hybridquant.types import QuantSpec

DAMPING = 0.01


def problem(groups: int, rows: int, columns: int, bits: int = 4) -> tuple[Tensor, Tensor, Grid]:
    generator = torch.Generator().manual_seed(columns)
    mix = torch.randn(groups, columns, columns, generator=generator, dtype=torch.float64)
    x = torch.randn(groups, 4 * columns, columns, generator=generator, dtype=torch.float64) @ mix
    weight = torch.randn(groups, rows, columns, generator=generator, dtype=torch.float64)
    qmax = 2 ** (bits - 1) - 1
    scale = weight.abs().amax(2, keepdim=True) / qmax
    second = x.transpose(1, 2) @ x / x.shape[1]
    return weight, second, Grid(scale, torch.zeros_like(scale), -qmax - 1, qmax)


def losses(rounded: Tensor, weight: Tensor, second: Tensor) -> Tensor:
    error = rounded - weight
    return ((error @ damped(second, DAMPING)) * error).sum(2)


@pytest.mark.parametrize(("groups", "rows", "columns"), [(1, 12, 40), (6, 1, 9), (3, 4, 16)])
def test_each_step_loses_less(groups: int, rows: int, columns: int) -> None:
    weight, second, grid = problem(groups, rows, columns)
    nearest, by_gptq = grid.nearest(weight), gptq(weight, second, grid, DAMPING)
    polished = descend(by_gptq, weight, second, grid, 10, DAMPING)
    from_nearest = descend(nearest, weight, second, grid, 10, DAMPING)
    for rounded in (by_gptq, polished, from_nearest):
        assert torch.equal(grid.nearest(rounded), rounded)
    first, second_, third = (losses(r, weight, second) for r in (nearest, by_gptq, polished))
    assert float(second_.sum()) < 0.7 * float(first.sum())
    assert bool((third <= second_ + 1e-12).all())
    assert bool((losses(from_nearest, weight, second) <= first + 1e-12).all())


def test_close_to_the_best_of_all_roundings() -> None:
    weight, second, grid = problem(1, 5, 8)
    lower = torch.floor(weight / grid.scale)
    best = torch.full([5], torch.inf, dtype=torch.float64)
    for up in itertools.product((0.0, 1.0), repeat=8):
        codes = (lower + torch.tensor(up, dtype=torch.float64)).clamp(grid.qmin, grid.qmax)
        best = torch.minimum(best, losses(codes * grid.scale, weight, second)[0])
    found = descend(gptq(weight, second, grid, DAMPING), weight, second, grid, 10, DAMPING)
    assert float(losses(found, weight, second).sum()) < 1.25 * float(best.sum())


def test_without_correlation_it_is_the_nearest_value() -> None:
    weight, _, grid = problem(2, 3, 10)
    second = torch.diag_embed(torch.rand(2, 10, dtype=torch.float64) + 0.5)
    assert torch.equal(gptq(weight, second, grid, DAMPING), grid.nearest(weight))


def test_dead_columns_keep_their_nearest_values() -> None:
    weight, second, grid = problem(1, 4, 12)
    second[:, 3], second[:, :, 3] = 0.0, 0.0
    rounded = gptq(weight, second, grid, DAMPING)
    assert torch.equal(rounded[:, :, 3], grid.nearest(weight)[:, :, 3])
    assert bool(rounded.isfinite().all())


def test_ridge_is_the_closed_form() -> None:
    weight, second, _ = problem(1, 4, 6)
    generator = torch.Generator().manual_seed(0)
    cross = second + 0.1 * torch.randn(1, 6, 6, generator=generator, dtype=torch.float64)
    found = ridge(weight, second, cross, 1e-3)[0]
    penalty = 1e-3 * second[0].diagonal().mean() * torch.eye(6, dtype=torch.float64)
    gradient = (second[0] + penalty) @ found.T - (cross[0] + penalty) @ weight[0].T
    assert float(gradient.abs().max()) < 1e-9


def test_the_pass_brings_the_model_closer(
    make: Callable[..., QuantGraph], calibration: Calibration, loss: Callable[[QuantGraph], float]
) -> None:
    nearest, rounded, without = make(), make(), make()
    PASSES["round_gptq"](rounded, calibration)
    PASSES["round_gptq"](without, calibration, bias=False)
    assert loss(rounded) < 0.5 * loss(nearest)
    assert loss(rounded) < loss(without) < loss(nearest)
    for graph in (rounded, without):
        for product, plain in zip(products_of(graph), products_of(nearest), strict=True):
            weight = graph.get_parameter(str(product.weight.target)).detach()
            on_grid = graph.module_of(product.weight_edge)(weight)
            torch.testing.assert_close(on_grid, weight, rtol=0, atol=1e-6)
            assert not torch.equal(weight, graph.original(product.weight))
            assert torch.equal(graph.original(product.weight), nearest.original(plain.weight))
            is_same = torch.equal(present_bias(graph, product), present_bias(nearest, plain))
            assert is_same == (graph is without)


def test_again_from_the_original_weights(
    make: Callable[..., QuantGraph], calibration: Calibration
) -> None:
    once, twice = make(), make()
    PASSES["round_gptq"](once, calibration)
    PASSES["round_gptq"](PASSES["round_gptq"](twice, calibration), calibration)
    for (_, a), (_, b) in zip(once.named_parameters(), twice.named_parameters(), strict=True):
        assert torch.equal(a, b)


def test_channels_that_hardly_vary(block: nn.Module, calibration: Calibration) -> None:
    with torch.no_grad():  # the depthwise convolution then reads 1000 and a little
        block.stem.weight.mul_(1e-4)
        block.stem.bias.fill_(1000.0)
    specs = {"weight": QuantSpec(4, "symmetric", "channel"), "activation": QuantSpec(16)}
    graph = prepare(
        capture(block, calibration.first()), lambda edges: [specs[e.operand] for e in edges]
    )
    PASSES["round_gptq"](PASSES["observe"](graph, calibration), calibration)
    assert all(bool(p.isfinite().all()) for p in graph.parameters())


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.conv(x)).mean((2, 3))


def test_a_weight_that_two_operators_read_stays(calibration: Calibration) -> None:
    spec = QuantSpec(4, "symmetric")
    graph = prepare(capture(Shared().eval(), calibration.first()), lambda e: [spec] * len(e))
    PASSES["observe"](graph, calibration)
    before = graph.conv.weight.clone()
    PASSES["round_gptq"](graph, calibration)
    assert torch.equal(graph.conv.weight, before)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"damping": 0.0}, "damping must be above 0, got 0.0"),
        ({"sweeps": -1}, "sweeps must be at least 0, got -1"),
        ({"ridge_strength": -0.1}, "ridge_strength must be at least 0, got -0.1"),
        ({"rows": 0}, "rows must be at least 1, got 0"),
    ],
)
def test_options_are_checked(
    make: Callable[..., QuantGraph], calibration: Calibration, options: dict[str, float], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        PASSES["round_gptq"](make(is_observed=False), calibration, **options)
