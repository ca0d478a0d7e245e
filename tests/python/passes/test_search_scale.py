"""The pass search_scale: against brute force, its trap, determinism, cuts of the batches."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from hybridquant.calibration import Calibration
from hybridquant.capture import FloatGraph, capture
from hybridquant.layerwise import sweep, unit_of
from hybridquant.layerwise.multiplications import multiplications_of, siblings_of
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph, prepare
from hybridquant.quantizers import SelfCalibrating, Setting
from hybridquant.samples import Samples
from hybridquant.types import Edge, QuantSpec

BITS = 4


@cache
def captured(model: nn.Module) -> FloatGraph:
    return capture(model, torch.zeros(2, 3, 16, 16))


def prepared(model: nn.Module, images: Tensor, scheme: str = "symmetric") -> QuantGraph:
    def resolve(edges: Sequence[Edge]) -> list[QuantSpec | None]:
        kinds = ("conv2d", "linear", "matmul")
        weight = QuantSpec(bits=BITS, scheme="symmetric", granularity="channel")
        other = QuantSpec(bits=BITS, scheme=scheme)
        return [
            None if e.kind not in kinds else weight if e.operand == "weight" else other
            for e in edges
        ]

    return PASSES["observe"](prepare(captured(model), resolve), Calibration(images))


def searched(model: nn.Module, x: Tensor, cut: int = 32, **options: Any) -> QuantGraph:
    scheme = str(options.pop("scheme", "symmetric"))
    return PASSES["search_scale"](prepared(model, x, scheme), Calibration(x, cut), **options)


def settings(graph: QuantGraph) -> list[Tensor]:
    modules = {edge.module: graph.module_of(edge) for edge in graph.quant_edges}
    return [value.detach() for m in modules.values() for value in (m.scale, m.zero_point)]


def logits_error(graph: QuantGraph, images: Tensor) -> float:
    with torch.no_grad():
        result = graph(images)
        with graph.fake_quant_off():
            return float((graph(images) - result).square().sum())


class TinyHybrid(nn.Module):
    """A convolution, a depthwise convolution, one attention over tokens, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.norm, self.qkv, self.head = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = x + self.depthwise(x)
        q, k, v = self.qkv(self.norm(x.flatten(2).transpose(1, 2))).chunk(3, dim=-1)
        return self.head(((q @ k.transpose(1, 2)).softmax(-1) @ v).mean(1))


class Product(nn.Module):
    """One linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(2).mean(2).repeat(1, 3)[:, :8])


@pytest.fixture(scope="module")
def product() -> nn.Module:
    torch.manual_seed(0)
    return Product().eval()


@pytest.fixture(scope="module")
def tiny_model() -> nn.Module:
    torch.manual_seed(0)
    return TinyHybrid().eval()


def test_one_round_is_the_best_weight_then_the_best_input(
    product: nn.Module, images: Tensor
) -> None:
    def resolve(edges: Sequence[Edge]) -> list[QuantSpec | None]:
        spec = QuantSpec(bits=BITS, scheme="symmetric")
        return [spec if edge.kind == "linear" else None for edge in edges]

    options = {"metric": "l2", "rounds": 1, "low": 0.5, "high": 1.2, "candidates": 30}
    graph = prepare(capture(product, images), resolve)
    PASSES["observe"](graph, Calibration(images))
    PASSES["search_scale"](graph, Calibration(images), **options)
    x = images.flatten(2).mean(2).repeat(1, 3)[:, :8]
    weight, bias = product.linear.weight, product.linear.bias
    steps = [0.5 + i * 0.7 / 30 for i in range(31)] + [1.0]

    def rounded(value: Tensor, scale: float) -> Tensor:
        return (value / scale).round().clamp(-8, 7) * scale

    def best(make: Callable[[float], Tensor], start: float) -> float:
        target = x @ weight.T + bias
        losses = [float((make(start * f) - target).double().square().sum()) for f in steps]
        return start * steps[losses.index(min(losses))]

    with torch.no_grad():
        start_w, start_x = (float(v.abs().max()) / 7.5 for v in (weight, x))
        scale_w = best(lambda s: rounded(x, start_x) @ rounded(weight, s).T + bias, start_w)
        scale_x = best(lambda s: rounded(x, s) @ rounded(weight, scale_w).T + bias, start_x)
    (operator,) = multiplications_of(graph)
    found = [float(graph.module_of(edge).scale) for edge in operator.edges if edge]
    assert found == pytest.approx([scale_x, scale_w])


OPTIONS = [
    {"metric": "l2"},
    {"metric": "cosine", "inputs": "float"},
    {"metric": "cosine_rows", "inputs": "float", "rounds": 1},
    {"metric": "hessian", "gradient": "label_ce"},
    {"metric": "hessian", "gradient": "perturb", "inputs": "float"},
    {"metric": "hessian", "gradient": "quant_chain"},
    {"metric": "l2", "start": "observed", "scheme": "asymmetric"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values())))
def test_it_helps_and_runs_the_same_twice(
    tiny_model: nn.Module, images: Tensor, options: dict[str, Any]
) -> None:
    options = {"candidates": 20, **options}
    before = prepared(tiny_model, images, str(options.get("scheme", "symmetric")))
    after = searched(tiny_model, images, **options)
    assert logits_error(after, images) < logits_error(before, images)
    again = searched(tiny_model, images, **options)
    assert all(map(torch.equal, settings(after), settings(again)))


@pytest.mark.parametrize("metric", ["l2", "hessian", "cosine"])
def test_the_cut_of_the_batches_does_not_matter(
    tiny_model: nn.Module, images: Tensor, metric: str
) -> None:
    whole = searched(tiny_model, images, metric=metric, candidates=20)
    parts = searched(tiny_model, images, cut=2, metric=metric, candidates=20)
    for a, b in zip(settings(whole), settings(parts), strict=True):
        torch.testing.assert_close(a, b)


def test_each_round_lowers_the_error_of_a_single_product(
    product: nn.Module, images: Tensor
) -> None:
    errors = [
        logits_error(searched(product, images, metric="l2", rounds=rounds), images)
        for rounds in (1, 2, 3)
    ]
    assert logits_error(prepared(product, images), images) > errors[0] >= errors[1] >= errors[2]


def test_large_operators_may_be_judged_by_some_images(product: nn.Module, images: Tensor) -> None:
    # 4 values an image: three of six images, the first, third and fifth.
    some = searched(product, images, cut=4, values=12, rounds=1)
    alone = searched(product, images[::2], rounds=1)
    for a, b in zip(settings(some), settings(alone), strict=True):
        torch.testing.assert_close(a, b)
    everything = searched(product, images, values=24, rounds=1)
    whole = searched(product, images, rounds=1)
    assert all(map(torch.equal, settings(everything), settings(whole)))


@pytest.mark.parametrize("zero_points", ["near", "middle"])
def test_fpcs_is_a_strategy(product: nn.Module, images: Tensor, zero_points: str) -> None:
    options = {"strategy": "fpcs", "zero_points": zero_points, "rounds": 1}
    before = prepared(product, images, "asymmetric")
    after = searched(product, images, scheme="asymmetric", **options)
    assert logits_error(after, images) < logits_error(before, images)


def test_the_zero_gradient_trap_is_found(tiny_model: nn.Module, images: Tensor) -> None:
    options = {"metric": "hessian", "inputs": "float", "candidates": 10}
    with pytest.raises(ValueError, match=r"'fp_noise' must be more than float noise.*label_ce"):
        searched(tiny_model, images, gradient="fp_noise", **options)
    searched(tiny_model, images, gradient="fp_noise", allow_zero_gradient=True, **options)
    graph = prepared(tiny_model, images)
    for edge in graph.quant_edges:
        graph.module_of(edge).enabled = False
    with pytest.raises(ValueError, match="'quant_chain' must be more than float noise"):
        PASSES["search_scale"](graph, Calibration(images), gradient="quant_chain", **options)


class Siblings(nn.Module):
    """Two layers that read the same tensor, which is then multiplied with itself."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).transpose(1, 2)
        x = self.first(x) @ self.second(x).transpose(1, 2)
        return (x @ x).mean(2)


def test_operators_that_share_a_quantizer_are_searched_together(images: Tensor) -> None:
    torch.manual_seed(0)
    model = Siblings().eval()
    graph = searched(model, images, candidates=10)
    assert [len(group) for group in siblings_of(graph)] == [2, 1, 1]
    assert logits_error(graph, images) < logits_error(prepared(model, images), images)


BAD = [
    ({"metric": "l3"}, "metric must be one of cosine, cosine_rows, l2, hessian, got 'l3'"),
    ({"strategy": "best"}, "strategy must be one of grid, fpcs, got 'best'"),
    ({"candidates": 0}, "candidates must be at least 1, got 0"),
    ({"low": 0.0}, "low must be positive and at most high, 1.2, got 0.0"),
    ({"values": 0}, "values must be at least 1, got 0"),
    ({"rounds": 0}, "rounds must be at least 1, got 0"),
    ({"zero_points": "far"}, "zero_points must be one of near, middle, got 'far'"),
    ({"start": "zero"}, "start must be one of max_abs, observed, got 'zero'"),
    ({"inputs": "both"}, "inputs must be one of float, quantized, got 'both'"),
    ({"gradient": "none"}, "gradient must be one of label_ce"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_options_say_what_is_wrong(
    product: nn.Module, images: Tensor, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"search_scale: {message}"):
        searched(product, images, **options)


@pytest.mark.parametrize("quantizer", ["twin_softmax", "adalog", "log2"])
def test_quantizers_with_levels_of_their_own_are_searched_too(
    tiny_model: nn.Module, images: Tensor, quantizer: str
) -> None:
    spec = QuantSpec(bits=3, quantizer=quantizer)
    graph = prepare(
        captured(tiny_model),
        lambda edges: [spec if e.producer == "softmax" else None for e in edges],
    )
    PASSES["observe"](graph, Calibration(images))
    module = cast(SelfCalibrating, graph.module_of(graph.quant_edges[0]))
    with torch.no_grad(), graph.fake_quant_off():
        shares: list[Tensor] = []
        hook = graph.module_of(graph.quant_edges[0]).register_forward_hook(
            lambda _m, inputs, _out: shares.append(inputs[0])
        )
        graph(images)
        hook.remove()
    (operator,) = multiplications_of(graph)
    # The loss of every setting, by running the whole graph up to the product.
    visit = next(iter(sweep(graph, Calibration(images), [unit_of([operator.node])])))
    (batch,) = visit.batches
    target = visit.run_float(batch.floats)[operator.node]
    found: list[tuple[float, Setting]] = []
    with torch.no_grad():
        samples = Samples.of(torch.cat(shares).reshape(1, -1))
        for setting in [module.setting(), *module.candidates(samples)]:
            module.use(setting)
            result = visit.run(batch.floats)[operator.node]
            found.append((float((result - target).double().square().sum()), setting))
    module.use(found[0][1])
    PASSES["search_scale"](graph, Calibration(images), metric="l2")
    best = min(found, key=lambda item: item[0])[1]
    assert module.setting().choices == best.choices
    assert torch.equal(module.setting().scale, best.scale)
