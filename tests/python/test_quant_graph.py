"""QuantGraph: which edges get fake-quant modules, and that it stays an ordinary nn.Module."""

import copy
import dataclasses
import io
import pickle

import pytest
import torch
from torch import Tensor, nn

from hybridquant.calibration import Calibration
from hybridquant.capture import capture
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph, find_edges, prepare
from hybridquant.types import Edge, QuantSpec

WEIGHT = QuantSpec(scheme="symmetric", granularity="channel")
ACTIVATION = QuantSpec()
MACS = ("conv2d", "linear", "matmul")


def mac_specs(edges: list[Edge]) -> list[QuantSpec | None]:
    specs = {"weight": WEIGHT, "activation": ACTIVATION}
    return [specs[edge.operand] if edge.kind in MACS else None for edge in edges]


@pytest.fixture
def quantized(tiny_model: nn.Module, images: Tensor) -> QuantGraph:
    graph = prepare(capture(tiny_model, images), mac_specs)
    return PASSES["observe"](graph, Calibration(images))


def test_edges_are_the_inputs_operators_compute_with(tiny_model: nn.Module, images: Tensor) -> None:
    edges = [
        (edge.kind, edge.operand, edge.path) for edge in find_edges(capture(tiny_model, images))
    ]
    assert edges == [
        ("conv2d", "activation", "stem"),
        ("conv2d", "weight", "stem"),
        ("relu", "activation", ""),
        ("conv2d", "activation", "depthwise"),
        ("conv2d", "weight", "depthwise"),
        ("add", "activation", ""),
        ("add", "activation", ""),
        ("layer_norm", "activation", "norm"),
        ("linear", "activation", "qkv"),
        ("linear", "weight", "qkv"),
        ("matmul", "activation", ""),
        ("matmul", "activation", ""),
        ("softmax", "activation", ""),
        ("matmul", "activation", ""),
        ("matmul", "activation", ""),
        ("mean", "activation", ""),
        ("linear", "activation", "head"),
        ("linear", "weight", "head"),
    ]


def test_quantized_edges_are_still_edges(quantized: QuantGraph) -> None:
    edges = find_edges(quantized)
    assert len(edges) == 18
    assert [edge.edge for edge in quantized.quant_edges] == [e for e in edges if e.kind in MACS]


def test_module_names_tell_where_the_edge_is(quantized: QuantGraph) -> None:
    names = {edge.module for edge in quantized.quant_edges}
    assert {
        "fake_quant.stem.weight",
        "fake_quant.stem.activation",
        "fake_quant.head.weight",
    } <= names
    stem = next(e for e in quantized.quant_edges if e.module == "fake_quant.stem.weight")
    assert quantized.weight_name(stem) == "stem.weight"
    assert quantized.module_of(stem).scale.shape == (8,)


def test_edges_that_read_one_tensor_alike_share_a_module(images: Tensor) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x) + self.b(x)

    graph = prepare(capture(Twice().eval(), images), mac_specs)
    activations = [e.module for e in graph.quant_edges if e.edge.operand == "activation"]
    assert activations == ["fake_quant.a.activation"] * 2


class Concatenating(nn.Module):
    """A concatenation of an operator's result (twice), the images and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)
        self.token = nn.Parameter(torch.ones(1, 1, 16, 16))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return torch.cat([y, x, self.token.expand(x.shape[0], -1, -1, -1), y], 1)


class Products(nn.Module):
    """Matrix products behind what keeps their sums exact, and what does not."""

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2)
        product = tokens.mT @ (tokens @ tokens.mT) + 1e-5  # matmul, matmul, add
        moved = 3 * product.mT[:, :-1]  # mul
        rooted = product.sqrt() / (moved * -2).mT[:, :, :1]  # sqrt, mul, div
        return rooted.sum(1) + moved[:, :2].sum(2).repeat(1, 2)[:, :1]  # sum, sum, add


def test_results_of_matrix_products_are_marked(images: Tensor) -> None:
    graph = capture(Products().eval(), images[:, :, :4, :4])
    found = [
        (edge.kind, edge.position, edge.is_product)
        for edge in find_edges(graph)
        if edge.kind != "cat"
    ]
    assert found == [
        ("matmul", 0, False),
        ("matmul", 1, False),
        ("matmul", 0, False),
        ("matmul", 1, True),
        ("add", 0, True),
        ("mul", 0, True),
        ("sqrt", 0, True),
        ("mul", 0, True),
        ("div", 0, False),
        ("div", 1, False),  # behind a negative number
        ("sum", 0, False),
        ("sum", 0, True),
        ("add", 0, False),
        ("add", 1, False),
    ]
    quantized = prepare(graph, lambda edges: [ACTIVATION] * len(edges))
    assert find_edges(quantized) == find_edges(graph)


def concatenation_specs(edges: list[Edge]) -> list[QuantSpec | None]:
    return [ACTIVATION if edge.kind == "cat" else None for edge in edges]


@pytest.fixture
def concatenating(images: Tensor) -> QuantGraph:
    graph = prepare(capture(Concatenating().eval(), images), concatenation_specs)
    return PASSES["observe"](graph, Calibration(images))


def test_concatenated_tensors_are_edges(concatenating: QuantGraph, images: Tensor) -> None:
    edges = [edge for edge in find_edges(concatenating) if edge.kind == "cat"]
    assert [edge.position for edge in edges] == [0, 1, 2, 3]
    assert [edge.edge for edge in concatenating.quant_edges] == edges
    modules = [edge.module.removeprefix("fake_quant.") for edge in concatenating.quant_edges]
    assert modules == ["activation", "activation_2", "activation_3", "activation"]
    got = concatenating(images)
    for part, edge in zip(got.split([2, 3, 1, 2], 1), concatenating.quant_edges, strict=True):
        assert torch.equal(concatenating.module_of(edge)(part), part)
        assert part.unique().numel() <= 256
    with concatenating.fake_quant_off():
        assert not torch.equal(concatenating(images), got)


def test_modules_may_be_called_like_an_operand(images: Tensor) -> None:
    class Confusing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Conv2d(3, 3, 1)
            self.activation = nn.ModuleDict({"activation": nn.Conv2d(3, 3, 1)})
            self.fake_quant = nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = nn.functional.conv2d(x + x, self.fake_quant.weight)
            return self.fake_quant(self.activation["activation"](self.weight(x)))

    def all_specs(edges: list[Edge]) -> list[QuantSpec | None]:
        return [WEIGHT if edge.operand == "weight" else ACTIVATION for edge in edges]

    model = Confusing().eval()
    graph = PASSES["observe"](prepare(capture(model, images), all_specs), Calibration(images))
    modules = {edge.module for edge in graph.quant_edges}
    for name in modules:
        assert not any(other.startswith(f"{name}.") for other in modules)
        torch.jit.script(graph.get_submodule(name))
    assert {"fake_quant.weight.weight", "fake_quant.activation.activation.weight"} <= modules
    with torch.no_grad(), graph.fake_quant_off():
        torch.testing.assert_close(graph(images), model(images))


def test_quantized_output_is_near_but_not_equal(
    quantized: QuantGraph, tiny_model: nn.Module, images: Tensor
) -> None:
    with torch.no_grad():
        expected, got = tiny_model(images), quantized(images)
        error = float((got - expected).norm() / expected.norm())
        assert 0 < error < 0.05
        with quantized.fake_quant_off():
            torch.testing.assert_close(quantized(images), expected)
        assert torch.equal(quantized(images), got)


def test_the_users_model_is_not_touched(tiny_model: nn.Module, images: Tensor) -> None:
    before = copy.deepcopy(tiny_model.state_dict())
    graph = PASSES["observe"](prepare(capture(tiny_model, images), mac_specs), Calibration(images))
    with torch.no_grad():
        for parameter in graph.parameters():
            parameter.add_(1.0)
    after = tiny_model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_uncalibrated_graph_refuses_to_run(tiny_model: nn.Module, images: Tensor) -> None:
    graph = prepare(capture(tiny_model, images), mac_specs)
    with pytest.raises(ValueError, match="calibrate first"):
        graph(images)


def test_state_dict_round_trip(
    quantized: QuantGraph, tiny_model: nn.Module, images: Tensor
) -> None:
    fresh = prepare(capture(tiny_model, images), mac_specs)
    fresh.load_state_dict(quantized.state_dict())
    assert torch.equal(fresh(images), quantized(images))


def test_state_of_other_bits_is_refused(
    quantized: QuantGraph, tiny_model: nn.Module, images: Tensor
) -> None:
    def coarse(edges: list[Edge]) -> list[QuantSpec | None]:
        return [spec and dataclasses.replace(spec, bits=4) for spec in mac_specs(edges)]

    other = prepare(capture(tiny_model, images), coarse)
    with pytest.raises(ValueError, match=r"codes \[0, 15\], got \[0, 255\]"):
        other.load_state_dict(quantized.state_dict())


def through_torch_save(graph: QuantGraph) -> QuantGraph:
    buffer = io.BytesIO()
    torch.save(graph, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda graph: pickle.loads(pickle.dumps(graph)),
    "torch.save": through_torch_save,
}


@pytest.fixture(params=["quantized", "concatenating"])
def any_graph(request: pytest.FixtureRequest) -> QuantGraph:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("copy_of", COPIES.values(), ids=COPIES)
def test_copies_are_equal_and_complete(copy_of, any_graph: QuantGraph, images: Tensor) -> None:
    other = copy_of(any_graph)
    assert torch.equal(other(images), any_graph(images))
    assert other.quant_edges == any_graph.quant_edges
    assert find_edges(other) == find_edges(any_graph)
    assert isinstance(other, QuantGraph)


def test_trace_and_export_follow_the_batch(any_graph: QuantGraph, images: Tensor) -> None:
    traced = torch.jit.trace(any_graph, images[:2], check_trace=False)
    batch = torch.export.Dim("batch")
    exported = torch.export.export(any_graph, (images[:2],), dynamic_shapes=({0: batch},)).module()
    for size in (1, 3, 6):
        expected = any_graph(images[:size])
        assert torch.equal(traced(images[:size]), expected)
        assert torch.equal(exported(images[:size]), expected)


def test_every_fake_quant_module_can_be_scripted(quantized: QuantGraph) -> None:
    for edge in quantized.quant_edges:
        module = quantized.module_of(edge)
        assert "fake_quant_affine" in str(torch.jit.script(module).graph)


def test_training_reaches_weights_and_learned_scales(quantized: QuantGraph, images: Tensor) -> None:
    quantized.train()
    for edge in quantized.quant_edges:
        quantized.module_of(edge).scale.requires_grad_(True)
    quantized(images).square().mean().backward()
    learned = {name: p.grad for name, p in quantized.named_parameters() if p.requires_grad}
    assert [name for name, grad in learned.items() if grad is None] == []
    assert all(torch.isfinite(grad).all() for grad in learned.values())


def test_a_recipe_that_quantizes_nothing_is_refused(tiny_model: nn.Module, images: Tensor) -> None:
    with pytest.raises(ValueError, match="must quantize at least one of 18 edges, got none"):
        prepare(capture(tiny_model, images), lambda edges: [None] * len(edges))


@pytest.mark.parametrize("number", [0, 17, 19])
def test_resolve_answers_for_every_edge(number: int, tiny_model: nn.Module, images: Tensor) -> None:
    with pytest.raises(
        ValueError, match=rf"^prepare: resolve must .* each of 18 edges, got {number}"
    ):
        prepare(capture(tiny_model, images), lambda edges: [ACTIVATION] * number)


WRONG_INPUTS = [
    (torch.zeros(2, 3, 20, 20), ValueError, r"shape \[batch, 3, 16, 16\], got \[2, 3, 20, 20\]"),
    (torch.zeros(3, 16, 16), ValueError, r"shape \[batch, 3, 16, 16\], got \[3, 16, 16\]"),
    (
        torch.zeros(2, 3, 16, 16, dtype=torch.uint8),
        TypeError,
        "torch.float32 tensor, got torch.uint8",
    ),
    (torch.zeros(2, 3, 16, 16).half(), TypeError, "torch.float32 tensor, got torch.float16"),
    ("photo.jpg", TypeError, "a torch.float32 tensor, got str"),
]


@pytest.mark.parametrize(("x", "error", "text"), WRONG_INPUTS)
def test_wrong_input_is_named(x: object, error: type, text: str, quantized: QuantGraph) -> None:
    with pytest.raises(error, match=text):
        quantized(x)


def test_edges_know_their_producer_and_marks(tiny_model: nn.Module, images: Tensor) -> None:
    edges = find_edges(capture(tiny_model, images))
    producers = {(edge.kind, edge.path, edge.position): edge.producer for edge in edges}
    assert producers["conv2d", "stem", 0] == "input"
    assert producers["conv2d", "stem", 1] == "parameter"
    assert producers["conv2d", "depthwise", 0] == "relu"
    assert producers["layer_norm", "norm", 0] == "add"  # behind a flatten and a transpose
    assert producers["linear", "head", 0] == "mean"
    depthwise = {(edge.path, edge.position) for edge in edges if "@depthwise" in edge.marks}
    assert depthwise == {("depthwise", 0), ("depthwise", 1)}
    assert {edge.kind for edge in edges if "@bridge" in edge.marks} >= {"layer_norm", "linear"}


class TwoHeads(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        heads = x.flatten(2).reshape(-1, 2, 8, 48)
        return (heads @ heads.transpose(2, 3)).flatten(1)


def test_one_scale_a_head_where_there_are_heads(tiny_model: nn.Module) -> None:
    images = torch.randn(2, 3, 16, 16)

    def scales(model: nn.Module) -> list[int]:
        spec = QuantSpec(granularity="head")
        graph = prepare(
            capture(model, images),
            lambda edges: [spec if e.kind == "matmul" else None for e in edges],
        )
        graph = PASSES["observe"](graph, Calibration(images))
        return [graph.module_of(edge).scale.numel() for edge in graph.quant_edges]

    assert scales(TwoHeads().eval()) == [2, 2]
    assert scales(tiny_model) == [1] * 4  # [batch, rows, columns]: no heads
