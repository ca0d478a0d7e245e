"""The recipes with reconstruction have their papers' settings, and the fast ones are fast."""

import re
from pathlib import Path
from typing import Any

import pytest

from hybridquant.recipe import Recipe, list_recipes, load_recipe, recipe_from_dict
from hybridquant.recipe.text import parse_yaml
from hybridquant.types import Edge, QuantSpec

BITS = {"w8a8": (8, 8), "w6a6": (6, 6), "w4a8": (4, 8), "w4a4": (4, 4)}
LONG = {"steps": 20000, "batch": 32, "lr": 1e-3, "normalize": "none", "images": 1024}
QDROP = {**LONG, "scale_lr": 4e-5, "drop": 0.5, "regularizer": 0.01}
SCALES = {"rounding": "keep", "steps": 5000, "scale_lr": 4e-4, "exponent": 2.4}
SMOOTH = {"rounding": "ste", "batch": 64, "lr": 4e-5, "images": 1024}
PEERS: dict[str, list[dict[str, Any]]] = {
    "brecq": [{**LONG, "quantized": "weights", "regularizer": 0.01}, SCALES],
    "qdrop": [QDROP],
    "aphq_vit": [{**QDROP, "loss": "perturb", "regularizer": 0.1}],
    "ias_vit": [{**SMOOTH, "quantized": "activations"}, SMOOTH],
    "ias_vit-fixed": [{**SMOOTH, "quantized": "activations"}, SMOOTH],
}
FAST = [name for name in list_recipes() if name.endswith("-fast")]
EDGES = {
    "image": Edge("conv_0", 0, "conv2d", "stem", "activation", producer="input"),
    "stem": Edge("conv_0", 1, "conv2d", "stem", "weight", producer="parameter"),
    "conv input": Edge("conv_1", 0, "conv2d", "mix", "activation", producer="silu"),
    "conv weight": Edge("conv_1", 1, "conv2d", "mix", "weight", producer="parameter"),
    "query": Edge("matmul_0", 0, "matmul", "attn", "activation", producer="linear"),
    "logits": Edge("softmax_0", 0, "softmax", "attn", "activation", True, "matmul"),
    "shares": Edge("matmul_1", 0, "matmul", "attn", "activation", producer="softmax"),
    "head": Edge("linear_1", 1, "linear", "head", "weight", producer="parameter"),
}


def specs(recipe: Recipe) -> dict[str, QuantSpec | None]:
    return dict(zip(EDGES, recipe.resolve_all(list(EDGES.values())), strict=True))


def bits(name: str) -> list[int]:
    found = specs(load_recipe(name))
    return [spec.bits for key in EDGES if (spec := found[key]) is not None]


def reconstructions(recipe: Recipe) -> list[dict[str, Any]]:
    return [dict(step.options) for step in recipe.passes if step.name == "reconstruct"]


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("width", BITS)
def test_the_papers_settings(peer: str, width: str) -> None:
    recipe = load_recipe(f"{peer}/{width}")
    found = reconstructions(recipe)
    for options, wanted in zip(found, PEERS[peer], strict=True):
        assert {name: options[name] for name in wanted} == wanted
    if peer.startswith("ias_vit"):
        assert {o["steps"] for o in found} == {200 if width in ("w8a8", "w6a6") else 1000}
        assert recipe.passes[1].name == "reparameterize"
    weight, activation = BITS[width]
    # Image, stem, conv input and weight, query, shares, head; softmax itself is in float.
    ends = [8, 8] if peer in ("brecq", "qdrop") else [8, weight]
    last = ends[1]
    wanted = [*ends, activation, weight, activation, activation, last]
    assert bits(f"{peer}/{width}") == wanted


def test_levels_behind_softmax() -> None:
    quantizers = {
        name: (spec.quantizer, dict(spec.quantizer_options))
        for name in ("ias_vit", "ias_vit-fixed", "aphq_vit")
        if (spec := specs(load_recipe(f"{name}/w4a4"))["shares"]) is not None
    }
    assert quantizers == {
        "ias_vit": ("shift_uniform_log2", {"extra_level": True}),
        "ias_vit-fixed": ("shift_uniform_log2", {}),
        "aphq_vit": ("affine", {}),
    }


def test_every_system_has_fast_presets() -> None:
    systems = ("aphq_vit", "brecq", "ias_vit", "qdrop")
    assert [f"{s}/{w}-fast" for s in systems for w in ("w4a4", "w4a8")] == FAST


@pytest.mark.parametrize("name", FAST)
def test_fast_presets_are_fast(name: str) -> None:
    found = reconstructions(load_recipe(name))
    assert sum(options["steps"] * options["batch"] for options in found) <= 250 * 16
    assert all(options["images"] <= 256 for options in found)


def test_the_example_of_the_page() -> None:
    page = Path(__file__).parents[3] / "docs" / "reconstruction.md"
    (text,) = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    recipe = recipe_from_dict(parse_yaml(text))
    (options,) = reconstructions(recipe)
    (shipped,) = reconstructions(load_recipe("brecq/w4a4-fast"))
    assert options.items() <= shipped.items()
