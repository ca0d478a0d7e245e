"""Passes that rescale channels: the float model stays, what is quantized gets closer to it."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from hybridquant.calibration import Calibration
from hybridquant.capture import capture
from hybridquant.layerwise import products_of
from hybridquant.layerwise.channels import find_channel_groups, row_parameters
from hybridquant.layerwise.rescale import largest_read
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph, prepare
from hybridquant.types import QuantSpec

Make = Callable[..., QuantGraph]
Loss = Callable[[QuantGraph], float]


def in_float(graph: QuantGraph, calibration: Calibration) -> torch.Tensor:
    with torch.no_grad(), graph.fake_quant_off():
        return graph(calibration.first())


@pytest.mark.parametrize("name", ["migrate_channels", "equalize_channels", "reparameterize"])
def test_the_float_model_stays(make: Make, calibration: Calibration, name: str) -> None:
    graph = make(is_observed=False)
    weights = {n: p.clone() for n, p in graph.named_parameters() if "fake_quant" not in n}
    before = in_float(graph, calibration)
    PASSES[name](graph, calibration)
    torch.testing.assert_close(in_float(graph, calibration), before, rtol=1e-4, atol=1e-5)
    assert any(not torch.equal(graph.get_parameter(n), w) for n, w in weights.items())


@pytest.mark.parametrize("name", ["migrate_channels", "reparameterize"])
def test_channels_of_different_sizes_lose_less(
    make: Make, calibration: Calibration, loss: Loss, name: str
) -> None:
    plain, better = make(8, 4), make(8, 4, is_observed=False)
    PASSES["observe"](PASSES[name](better, calibration), calibration)
    assert loss(better) < 0.5 * loss(plain)


def test_reparameterize_keeps_the_codes_of_the_channels(
    make: Make, calibration: Calibration
) -> None:
    before, graph = make(is_observed=False), make(is_observed=False)
    x = input_of_fc1(before, calibration)
    PASSES["reparameterize"](graph, calibration)
    moved = input_of_fc1(graph, calibration)
    fc1 = next(p for p in products_of(graph) if p.name == "fc1")
    module = graph.module_of(fc1.input_edge)
    scale, zero_point = channel_parameters(x)
    codes = torch.round(x / scale) + zero_point
    common = torch.round(moved / module.scale) + module.zero_point
    differences = (codes - common).abs()
    assert float(differences.max()) <= 1.0
    assert float((differences > 0).float().mean()) < 1e-3
    assert float(module.zero_point) == round(float(zero_point.mean()))
    torch.testing.assert_close(module.scale, scale.mean().reshape(1), rtol=1e-5, atol=0)


def input_of_fc1(graph: QuantGraph, calibration: Calibration) -> torch.Tensor:
    """Return what fc1 reads of all images in float."""
    fc1 = next(p for p in products_of(graph) if p.name == "fc1")
    seen: list[torch.Tensor] = []
    hook = graph.module_of(fc1.input_edge).register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    with torch.no_grad(), graph.fake_quant_off():
        for x in calibration:
            graph(x)
    hook.remove()
    return torch.cat(seen)


def channel_parameters(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the scale and zero-point of each channel's whole range, 8 bits."""
    low, high = x.flatten(0, 1).aminmax(dim=0)
    scale = (high.clamp(min=0) - low.clamp(max=0)) / 255
    return scale, torch.round(-low.clamp(max=0) / scale)


def test_equalize_gives_both_sides_one_range(calibration: Calibration) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.Conv2d(8, 4, 1),
        nn.Flatten(),
    ).eval()
    with torch.no_grad():
        model[0].weight.mul_(torch.logspace(-2, 2, 8)[:, None, None, None])
    graph = prepare(capture(model, calibration.first()), lambda e: [QuantSpec()] * len(e))
    PASSES["equalize_channels"](graph, calibration)
    groups = find_channel_groups(graph, products_of(graph))
    assert len(groups) == 2
    for group in groups:
        made = graph.original(row_parameters(group.producer)[0]).abs().flatten(1).amax(1)
        torch.testing.assert_close(made, largest_read(graph, group), rtol=1e-5, atol=0)


def test_one_strength_is_that_of_smoothquant(make: Make, calibration: Calibration) -> None:
    graph = make(is_observed=False)
    fc1 = next(p for p in products_of(graph) if p.name == "fc1")
    x = input_of_fc1(graph, calibration)[:8]
    weight = graph.original(fc1.weight).clone()
    PASSES["migrate_channels"](graph, calibration, strengths=[0.5], images=8)
    wanted = x.abs().amax((0, 1)).sqrt() / weight.abs().amax(0).sqrt()
    factors = graph.original(fc1.weight)[0] / weight[0]
    torch.testing.assert_close(factors, wanted / wanted.log().mean().exp(), rtol=1e-4, atol=0)


def test_what_was_rounded_is_not_rescaled(make: Make, calibration: Calibration) -> None:
    graph = PASSES["round_gptq"](make(), calibration)
    for name in ("migrate_channels", "equalize_channels", "reparameterize"):
        with pytest.raises(RuntimeError, match="put the passes that rewrite weights first"):
            PASSES[name](graph, calibration)


@pytest.mark.parametrize("strengths", [[], [1.5], [-0.1], 0.5, ["none"]])
def test_strengths_are_checked(make: Make, calibration: Calibration, strengths: object) -> None:
    with pytest.raises(ValueError, match="strengths must be a list of numbers in"):
        PASSES["migrate_channels"](make(is_observed=False), calibration, strengths=strengths)
