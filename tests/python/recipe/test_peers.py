"""The peers' recipes say what their papers and code do."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hybridquant.calibration import Calibration
from hybridquant.capture import FloatGraph, capture
from hybridquant.passes import PASSES
from hybridquant.quant_graph import prepare
from hybridquant.recipe import Recipe, list_recipes, load_recipe
from hybridquant.types import Edge, QuantSpec

BITS = {"w8a8": (8, 8), "w6a6": (6, 6), "w4a8": (4, 8), "w4a4": (4, 4)}
SEARCH = {"low": 0.01, "high": 1.2, "candidates": 100, "rounds": 3}
PEERS: dict[str, dict[str, Any]] = {
    "easyquant": {
        "metric": "cosine",
        "low": 0.5,
        "high": 2.0,
        "candidates": 100,
        "inputs": "quantized",
        "images": 50,
    },
    "base_ptq": {
        "metric": "cosine_rows",
        "low": 0.5,
        "high": 1.2,
        "candidates": 100,
        "rounds": 1,
        "inputs": "float",
        "images": 32,
    },
    "ptq4vit": {
        **SEARCH,
        "metric": "hessian",
        "gradient": "fp_noise",
        "allow_zero_gradient": True,
        "inputs": "float",
        "images": 32,
    },
    "ptq4vit-fixed": {
        **SEARCH,
        "metric": "hessian",
        "gradient": "label_ce",
        "inputs": "float",
        "images": 32,
    },
    "fq_vit": {},
    "fq_vit-fixed": {},
    "adalog": {
        "metric": "l2",
        "strategy": "fpcs",
        "zero_points": "middle",
        "rounds": 3,
        "images": 32,
    },
    "adalog-fixed": {"metric": "l2", "strategy": "fpcs", "zero_points": "near", "images": 32},
}
# Operand of an operator, as a hybrid model has it: name, edge.
EDGES = {
    "image": Edge("conv_0", 0, "conv2d", "stem", "activation", producer="input"),
    "stem": Edge("conv_0", 1, "conv2d", "stem", "weight", producer="parameter"),
    "conv input": Edge("conv_1", 0, "conv2d", "mix", "activation", producer="silu"),
    "conv weight": Edge("conv_1", 1, "conv2d", "mix", "weight", producer="parameter"),
    "linear input": Edge("linear_0", 0, "linear", "qkv", "activation", producer="layer_norm"),
    "linear weight": Edge("linear_0", 1, "linear", "qkv", "weight", producer="parameter"),
    "query": Edge("matmul_0", 0, "matmul", "attn", "activation", producer="linear"),
    "logits": Edge("softmax_0", 0, "softmax", "attn", "activation", True, "matmul"),
    "shares": Edge("matmul_1", 0, "matmul", "attn", "activation", producer="softmax"),
    "gelus": Edge("linear_1", 0, "linear", "fc2", "activation", producer="gelu"),
    "fc2 weight": Edge("linear_1", 1, "linear", "fc2", "weight", producer="parameter"),
    "stream": Edge("layer_norm_0", 0, "layer_norm", "norm", "activation", producer="add"),
    "sum": Edge("add_0", 0, "add", "block", "activation", producer="conv2d"),
}


def specs(recipe: Recipe) -> dict[str, QuantSpec | None]:
    return dict(zip(EDGES, recipe.resolve_all(list(EDGES.values())), strict=True))


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("bits", BITS)
def test_a_peer_has_its_bits_and_its_search(peer: str, bits: str) -> None:
    recipe = load_recipe(f"{peer}/{bits}")
    found = specs(recipe)
    weight, activation = BITS[bits]
    for name, edge in EDGES.items():
        spec = found[name]
        if spec is None or name in ("image", "shares"):
            continue
        assert spec.bits == (weight if edge.operand == "weight" else activation), name
    options = next((dict(p.options) for p in recipe.passes if p.name == "search_scale"), {})
    assert {name: options[name] for name in PEERS[peer]} == PEERS[peer]
    assert bool(options) == bool(PEERS[peer])
    assert recipe.passes[0].name == "observe"


def test_every_peer_has_every_width() -> None:
    names = list_recipes()
    assert all(f"{peer}/{bits}" in names for peer in PEERS for bits in BITS)


@pytest.mark.parametrize("peer", ["easyquant", "base_ptq", "ptq4vit", "ptq4vit-fixed"])
def test_scale_searches_are_symmetric_and_for_products_only(peer: str) -> None:
    found = specs(load_recipe(f"{peer}/w8a8"))
    for name, spec in found.items():
        assert spec is None or spec.scheme == "symmetric", name
    assert [name for name in ("logits", "stream", "sum") if found[name] is not None] == []
    assert (found["image"] is None) == (peer != "easyquant")


def granularity(peer: str, name: str) -> str | None:
    spec = specs(load_recipe(f"{peer}/w8a8"))[name]
    return None if spec is None else spec.granularity


GRANULARITIES = [
    ("easyquant", ["tensor", "tensor", "tensor"]),
    ("base_ptq", ["tensor", "tensor", "tensor"]),
    ("ptq4vit", ["channel", "tensor", "tensor"]),
    ("ptq4vit-fixed", ["channel", "tensor", "tensor"]),
    ("fq_vit", ["channel", "channel", "tensor"]),
    ("adalog", ["channel", "channel", "head"]),
]


@pytest.mark.parametrize(("peer", "expected"), GRANULARITIES)
def test_granularities_are_the_peers(peer: str, expected: list[str]) -> None:
    names = ("conv weight", "linear weight", "query")
    assert [granularity(peer, name) for name in names] == expected


QUANTIZERS = [
    ("ptq4vit", "shares", "twin_softmax", {"branches": "add"}),
    ("ptq4vit-fixed", "shares", "twin_softmax", {"branches": "select"}),
    ("ptq4vit", "gelus", "twin_gelu", {}),
    ("fq_vit", "shares", "log2", {"rounding": "lis", "zero": "extra"}),
    ("fq_vit-fixed", "shares", "log2", {"rounding": "lis", "zero": "last"}),
    ("fq_vit", "stream", "ptf", {}),
    ("adalog", "shares", "adalog", {"zero": "extra"}),
    ("adalog", "gelus", "adalog", {"shift": True, "zero": "extra"}),
    ("adalog-fixed", "gelus", "adalog", {"shift": True, "zero": "last"}),
    ("easyquant", "shares", "affine", {}),
]


@pytest.mark.parametrize(("peer", "name", "quantizer", "options"), QUANTIZERS)
def test_quantizers_stand_where_the_papers_have_them(
    peer: str, name: str, quantizer: str, options: dict[str, object]
) -> None:
    spec = specs(load_recipe(f"{peer}/w8a8"))[name]
    assert spec is not None
    assert (spec.quantizer, dict(spec.quantizer_options)) == (quantizer, options)


def test_fq_vit_quantizes_everything_and_attention_to_4_bits() -> None:
    found = specs(load_recipe("fq_vit/w8a8"))
    assert all(spec is not None for spec in found.values())
    assert [spec.bits for name, spec in found.items() if spec and name == "shares"] == [4]
    inputs = [s for name, s in found.items() if s and EDGES[name].operand == "activation"]
    assert {(spec.scheme, spec.include_zero) for spec in inputs} == {("asymmetric", False)}
    fixed = specs(load_recipe("fq_vit-fixed/w8a8"))
    assert all(spec is None or spec.include_zero for spec in fixed.values())


def test_adalog_reads_the_image_with_8_bits_and_folds_norms() -> None:
    recipe = load_recipe("adalog/w4a4")
    found = specs(recipe)
    assert found["image"] is not None
    assert found["image"].bits == 8
    assert [p.name for p in recipe.passes] == ["observe", "reparameterize", "search_scale"]
    assert {spec.scheme for spec in found.values() if spec} == {"asymmetric"}


class Hybrid(nn.Module):
    """A convolution, an attention, a GELU behind it, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 4, 3, stride=2), nn.LayerNorm(4)
        self.qkv, self.fc, self.head = nn.Linear(4, 12), nn.Linear(4, 4), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(torch.relu(self.stem(x)).flatten(2).transpose(1, 2))
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        x = (q @ k.transpose(1, 2)).softmax(-1) @ v
        return self.head(self.fc(nn.functional.gelu(x)).mean(1))


@pytest.fixture(scope="module")
def hybrid() -> FloatGraph:
    torch.manual_seed(0)
    return capture(Hybrid().eval(), torch.zeros(2, 3, 8, 8))


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_runs(hybrid: FloatGraph, peer: str) -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    recipe = load_recipe(f"{peer}/w4a4")
    graph = prepare(hybrid, recipe.resolve_all)
    for step in recipe.passes:
        # One round of a search is enough to see that it runs.
        options = {**step.options, **({"rounds": 1} if "rounds" in step.options else {})}
        graph = PASSES[step.name](graph, Calibration(x), **options)
    with torch.no_grad():
        result = graph(x)
        with graph.fake_quant_off():
            exact = graph(x)
    assert bool(result.isfinite().all())
    assert 0 < float((result - exact).norm()) < float(exact.norm())
