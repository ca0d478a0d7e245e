"""The pass reconstruct: it helps, stays on the grid, and does what each option says."""

import logging
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hybridquant.calibration import Calibration
from hybridquant.capture import capture
from hybridquant.data import DataConfig
from hybridquant.distributed import Processes
from hybridquant.layerwise import products_of, reconstruction
from hybridquant.passes import PASSES
from hybridquant.pipeline import to_integer
from hybridquant.quant_graph import QuantGraph, prepare
from hybridquant.types import Edge, QuantSpec

FAST: dict[str, Any] = {"steps": 60, "batch": 8, "lr": 0.05}


def images(count: int = 16, size: int = 8) -> Tensor:
    """Return images whose channels and neighbours go together."""
    generator = torch.Generator().manual_seed(3)
    base = torch.randn(count, 1, size, size, generator=generator)
    return base + 0.3 * torch.randn(count, 3, size, size, generator=generator)


def calibrated(model: nn.Module, x: Tensor, bits: int = 8, weight_bits: int = 3) -> QuantGraph:
    def resolve(edges: Sequence[Edge]) -> list[QuantSpec | None]:
        weight = QuantSpec(bits=weight_bits, scheme="symmetric", granularity="channel")
        return [weight if edge.operand == "weight" else QuantSpec(bits=bits) for edge in edges]

    return PASSES["observe"](prepare(capture(model.eval(), x), resolve), Calibration(x))


def error(graph: QuantGraph, model: nn.Module, x: Tensor) -> float:
    with torch.no_grad():
        return float((graph(x) - model(x)).square().mean())


def weights_of(graph: QuantGraph) -> list[Tensor]:
    return [graph.get_parameter(str(p.weight.target)).clone() for p in products_of(graph)]


@pytest.mark.parametrize("units", ["layer", "block"])
def test_beats_the_nearest_rounding_where_inputs_correlate(units: str) -> None:
    torch.manual_seed(0)
    x = images()
    model = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1))
    graph = calibrated(model, x)
    before = error(graph, model, x)
    PASSES["reconstruct"](graph, Calibration(x, 4), units=units, **FAST)
    assert error(graph, model, x) < 0.7 * before
    (product,) = products_of(graph)
    assert product.weight_edge is not None
    module = graph.module_of(product.weight_edge)
    weight = graph.get_parameter(str(product.weight.target))
    codes = weight.detach() / module.scale.reshape(-1, 1, 1, 1)
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-4)
    assert -4 <= codes.min() <= codes.max() <= 3.001
    # No weight has moved further than to its other neighbour, or to the end of the grid.
    moved = (weight - graph.original(product.weight)).abs() / module.scale.reshape(-1, 1, 1, 1)
    assert moved.max() < 1.01


class OneUnit(nn.Module):
    """Convolutions without a residual: what the unit loses is what the model loses."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.GELU(), nn.Conv2d(12, 4, 3))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.body(x)
        return result


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias_lr": 0.01, "scale_lr": 0.01, "relative": True},
        {"rounding": "ste", "lr": 0.02, "relative": True},
        {"rounding": "ste", "lr": 0.002, "bias_lr": 0.002},
        {"rounding": "keep", "scale_lr": 0.02, "relative": True},
        {"drop": 0.5, "exponent": 2.4, "normalize": "none", "regularizer": 1e-4},
        {"loss": "fisher"},
        {"loss": "perturb"},
    ],
    ids=str,
)
def test_every_kind_of_learning_helps(options: dict[str, Any]) -> None:
    x, model = images(), OneUnit()
    graph = calibrated(model, x, bits=4, weight_bits=3)
    before = error(graph, model, x)
    PASSES["reconstruct"](graph, Calibration(x, 4), **{**FAST, **options})
    assert error(graph, model, x) < 0.97 * before


def test_a_whole_model_improves(tiny_model: nn.Module, images: Tensor) -> None:
    graph = calibrated(tiny_model, images, weight_bits=3)
    before = error(graph, tiny_model, images)
    PASSES["reconstruct"](graph, Calibration(images, 4), **FAST)
    assert error(graph, tiny_model, images) < 0.9 * before


def test_what_is_not_quantized_meanwhile_runs_in_float(
    tiny_model: nn.Module, images: Tensor
) -> None:
    graph = calibrated(tiny_model, images, bits=4, weight_bits=3)
    scales = [graph.module_of(edge).scale.clone() for edge in graph.quant_edges]
    options = {**FAST, "quantized": "weights", "scale_lr": 0.01}
    PASSES["reconstruct"](graph, Calibration(images), **options)
    # Activations were off, and nothing of them learned; all modules are on again.
    after = [graph.module_of(edge).scale for edge in graph.quant_edges]
    assert all(torch.equal(a, b) for a, b in zip(scales, after, strict=True))
    assert all(graph.module_of(edge).enabled for edge in graph.quant_edges)
    # Weights that are not quantized learn as numbers, beside their grid.
    graph = calibrated(tiny_model, images, bits=3, weight_bits=8)
    options = {**FAST, "quantized": "activations", "rounding": "ste", "lr": 0.01}
    PASSES["reconstruct"](graph, Calibration(images), **options)
    product = products_of(graph)[0]
    assert product.weight_edge is not None
    weight = graph.get_parameter(str(product.weight.target))
    assert not torch.equal(weight, graph.original(product.weight))
    assert not torch.equal(graph.module_of(product.weight_edge)(weight), weight)


def test_drop_of_all_trains_in_float(tiny_model: nn.Module, images: Tensor) -> None:
    def mask(share: float) -> Tensor | None:
        return reconstruction.random_mask(torch.zeros(64, 33), share, torch.Generator())

    assert mask(0) is None
    everything, half = mask(1), mask(0.5)
    assert everything is not None
    assert half is not None
    assert not everything.any()
    assert 0.45 < half.float().mean() < 0.55
    quarter = mask(0.25)
    assert quarter is not None
    assert 0.70 < quarter.float().mean() < 0.80


def test_a_unit_that_got_worse_is_left_as_it_was(
    tiny_model: nn.Module, images: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    graph = calibrated(tiny_model, images, bits=8, weight_bits=8)
    before, logits = weights_of(graph), graph(images)
    with caplog.at_level(logging.INFO, logger="hybridquant"):
        options = {"steps": 3, "batch": 2, "rounding": "ste", "lr": 10.0, "scale_lr": 0.5}
        PASSES["reconstruct"](graph, Calibration(images), **options)
    assert all(torch.equal(a, b) for a, b in zip(before, weights_of(graph), strict=True))
    assert torch.equal(graph(images), logits)
    assert len([text for text in caplog.messages if "left as it was" in text]) >= 3


def test_a_chosen_rounding_is_where_it_starts(tiny_model: nn.Module, images: Tensor) -> None:
    graph = calibrated(tiny_model, images)
    PASSES["reconstruct"](graph, Calibration(images), **FAST)
    before = weights_of(graph)
    # So small a rate changes no decision.
    PASSES["reconstruct"](graph, Calibration(images), steps=2, lr=1e-6)
    for a, b in zip(before, weights_of(graph), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_the_same_seed_gives_the_same_model(tiny_model: nn.Module, images: Tensor) -> None:
    start = calibrated(tiny_model, images, bits=4)
    options = {**FAST, "drop": 0.5, "scale_lr": 1e-3, "steps": 10}
    results = []
    for seed in (1, 1, 2):
        graph = deepcopy(start)
        PASSES["reconstruct"](graph, Calibration(images, 2), seed=seed, **options)
        results.append(weights_of(graph))
    same, other = (
        [torch.equal(a, b) for a, b in zip(results[0], r, strict=True)] for r in results[1:]
    )
    assert all(same)
    assert not all(other)


def test_a_reconstructed_model_becomes_integers(tiny_model: nn.Module, images: Tensor) -> None:
    graph = calibrated(tiny_model, images, weight_bits=4)
    options = {**FAST, "scale_lr": 1e-3, "bias_lr": 1e-3, "drop": 0.5}
    PASSES["reconstruct"](graph, Calibration(images), **options)
    config = DataConfig((3, 16, 16), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    model = to_integer(graph, config)
    pixels = torch.randint(0, 256, (4, 3, 16, 16), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        wanted = graph((pixels / 255 - 0.5) / 0.25)
    got = model(pixels.to(torch.uint8))
    assert (got - wanted).square().mean() < 0.02 * wanted.square().mean()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"units": "stage"}, "units must be one of block, layer, got 'stage'"),
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"drop": 1.5}, "drop must be a number from 0 to 1, got 1.5"),
        ({"lr": "1e-3"}, "lr must be a number above 0, got '1e-3'; write 1.0e-5"),
    ],
)
def test_wrong_options(
    tiny_model: nn.Module, images: Tensor, options: dict[str, Any], text: str
) -> None:
    graph = calibrated(tiny_model, images)
    with pytest.raises(ValueError, match=text):
        PASSES["reconstruct"](graph, Calibration(images), **options)


def test_several_processes_are_refused(tiny_model: nn.Module, images: Tensor) -> None:
    graph = calibrated(tiny_model, images)
    with pytest.raises(NotImplementedError, match="processes must be 1, got 2"):
        PASSES["reconstruct"](graph, Calibration(images, 2, Processes(1, 2)))


def test_adaround_needs_an_affine_grid(tiny_model: nn.Module, images: Tensor) -> None:
    def resolve(edges: Sequence[Edge]) -> list[QuantSpec | None]:
        weight = QuantSpec(bits=4, scheme="symmetric", granularity="channel", quantizer="pot")
        return [weight if edge.operand == "weight" else None for edge in edges]

    graph = prepare(capture(tiny_model, images), resolve)
    PASSES["observe"](graph, Calibration(images))
    with pytest.raises(NotImplementedError, match="affine grid, got PotFakeQuant at stem"):
        PASSES["reconstruct"](graph, Calibration(images))
    PASSES["reconstruct"](graph, Calibration(images), **{**FAST, "rounding": "ste", "lr": 0.01})
