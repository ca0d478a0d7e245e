"""Passes that correct the outputs of products: their means, and their slopes."""

from collections.abc import Callable

import torch

from hybridquant.calibration import Calibration
from hybridquant.layerwise import products_of, sweep, unit_of
from hybridquant.layerwise.outputs import outputs_of
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph

Make = Callable[..., QuantGraph]
Loss = Callable[[QuantGraph], float]


def last_outputs(graph: QuantGraph, calibration: Calibration) -> tuple[torch.Tensor, torch.Tensor]:
    product = products_of(graph)[-1]
    (visit,) = list(sweep(graph, calibration, [unit_of([product.node])]))
    with torch.no_grad():
        pairs = list(outputs_of(visit, product))
    exact, now = (torch.cat([pair[i] for pair in pairs], 1) for i in (0, 1))
    return exact, now


def test_means_are_those_of_the_float_model(
    make: Make, calibration: Calibration, loss: Loss
) -> None:
    plain, corrected = make(3), make(3)
    PASSES["correct_bias"](corrected, calibration)
    exact, now = last_outputs(corrected, calibration)
    torch.testing.assert_close(now.mean(1), exact.mean(1), rtol=0, atol=1e-5)
    assert loss(corrected) < loss(plain)
    # The convolution without a bias has one now.
    point = next(p for p in products_of(corrected) if p.name == "point")
    assert str(point.node.args[2].target) == f"biases.{point.node.name}"


def test_slopes_too(make: Make, calibration: Calibration, loss: Loss) -> None:
    corrected, compensated = make(3), make(3)
    codes = codes_of(compensated)
    PASSES["correct_bias"](corrected, calibration)
    PASSES["compensate_affine"](compensated, calibration)
    exact, now = last_outputs(compensated, calibration)
    exact, now = (y - y.mean(1, keepdim=True) for y in (exact, now))
    slope = (exact * now).sum(1) / (now * now).sum(1)
    torch.testing.assert_close(slope, torch.ones(5), rtol=0, atol=1e-4)
    assert loss(compensated) < loss(corrected)
    for name, before in codes.items():  # only scales and biases change
        assert torch.equal(codes_of(compensated)[name], before), name


def codes_of(graph: QuantGraph) -> dict[str, torch.Tensor]:
    found = {}
    for product in products_of(graph):
        scale = graph.module_of(product.weight_edge).scale
        weight = graph.get_parameter(str(product.weight.target))
        sizes = [-1] + [1] * (weight.ndim - 1)
        found[product.name] = torch.round(
            graph.module_of(product.weight_edge)(weight) / scale.reshape(sizes)
        )
    return found


def test_a_dead_channel_keeps_its_factor(make: Make, calibration: Calibration) -> None:
    graph = make(3)
    product = products_of(graph)[0]
    with torch.no_grad():
        graph.get_parameter(str(product.weight.target))[2] = 0.0
    before = graph.module_of(product.weight_edge).scale.clone()
    PASSES["compensate_affine"](graph, calibration)
    after = graph.module_of(product.weight_edge).scale
    assert float(after[2]) == float(before[2])
    assert bool((after / before >= 0.5).all())
    assert bool((after / before <= 2.0).all())
