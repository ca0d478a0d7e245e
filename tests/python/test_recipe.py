"""The recipes that come with the package, and the documents about recipes."""

import re
from pathlib import Path

import pytest
import yaml

from hybridquant.observers import OBSERVERS
from hybridquant.recipe import list_recipes, load_recipe, recipe_from_dict, recipe_to_yaml
from hybridquant.recipe.text import RECIPE_KEYS, RULE_KEYS, parse_yaml
from hybridquant.types import Edge

ROOT = Path(__file__).parents[2]
CONFIGS, DOCUMENT = ROOT / "configs", ROOT / "docs" / "recipes.md"
FILES = [file for file in sorted(CONFIGS.glob("*/*.yaml")) if file.parent.name != "train"]
BASELINES = [
    "w4a8-mse",
    "w6a6-mse",
    "w8a8-attention-float",
    "w8a8-minmax",
    "w8a8-mse",
    "w8a8-percentile",
]

EDGES = [
    Edge("conv_0", 0, "conv2d", "stem", "activation"),
    Edge("conv_0", 1, "conv2d", "stem", "weight"),
    Edge("hardswish_0", 0, "hardswish", "act", "activation"),
    Edge("conv_1", 0, "conv2d", "blocks.0.conv", "activation"),
    Edge("conv_1", 1, "conv2d", "blocks.0.conv", "weight"),
    Edge("matmul_0", 0, "matmul", "blocks.0.attn", "activation"),
    Edge("matmul_0", 1, "matmul", "blocks.0.attn", "activation"),
    Edge("add_0", 0, "add", "blocks.0", "activation"),
    Edge("linear_0", 0, "linear", "head", "activation"),
    Edge("linear_0", 1, "linear", "head", "weight"),
]


def test_the_package_ships_every_file_under_its_name():
    expected = [f"{file.parent.name}/{file.stem}" for file in FILES]
    assert list_recipes() == sorted(expected)
    assert [name for name in list_recipes() if name.startswith("baseline/")] == [
        f"baseline/{name}" for name in BASELINES
    ]
    for file, name in zip(FILES, expected, strict=True):
        assert load_recipe(name) == load_recipe(file)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_shipped_recipe_says_what_it_is(file):
    recipe = load_recipe(file)
    assert recipe.name == f"{file.parent.name}/{file.stem}"
    assert recipe.source
    assert len(recipe.description.split(". ")[0]) <= 100
    assert recipe_from_dict(parse_yaml(recipe_to_yaml(recipe))) == recipe


# Name, bits of EDGES with 32 for float.
BITS = [
    ("w8a8-minmax", [8, 8, 32, 8, 8, 8, 8, 32, 8, 8]),
    ("w8a8-percentile", [8, 8, 32, 8, 8, 8, 8, 32, 8, 8]),
    ("w8a8-mse", [8, 8, 32, 8, 8, 8, 8, 32, 8, 8]),
    ("w8a8-attention-float", [8, 8, 32, 8, 8, 32, 32, 32, 8, 8]),
    ("w6a6-mse", [6, 6, 32, 6, 6, 6, 6, 32, 6, 6]),
    ("w4a8-mse", [8, 8, 32, 8, 4, 8, 8, 32, 8, 8]),
]


@pytest.mark.parametrize(("name", "bits"), BITS)
def test_a_baseline_quantizes_products_only(name, bits):
    recipe = load_recipe(CONFIGS / "baseline" / f"{name}.yaml")
    specs = recipe.resolve_all(EDGES)
    assert [32 if spec is None else spec.bits for spec in specs] == bits
    for edge, spec in zip(EDGES, specs, strict=True):
        if spec is not None:
            is_weight = edge.operand == "weight"
            assert spec.scheme == ("symmetric" if is_weight else "asymmetric")
            assert spec.granularity == ("channel" if is_weight else "tensor")
            assert spec.include_zero
            expected = name.partition("-")[2].replace("attention-float", "mse")
            if is_weight and expected == "percentile":
                expected = "minmax"  # a filter has too few values for quantiles
            assert spec.observer == expected


def test_a_baseline_works_on_a_model_without_attention():
    edges = [edge for edge in EDGES if edge.kind != "matmul"]
    for name in BASELINES:
        assert any(load_recipe(CONFIGS / "baseline" / f"{name}.yaml").resolve_all(edges))


SNIPPETS = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda text: text.split("\n")[0])
def test_a_snippet_of_the_document_loads(snippet):
    recipe = recipe_from_dict(parse_yaml(snippet))
    assert recipe_from_dict(yaml.safe_load(recipe_to_yaml(recipe))) == recipe


def test_the_document_has_its_snippets_and_runs_in_python():
    assert len(SNIPPETS) == 4
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    printed = []
    exec(compile(code, str(DOCUMENT), "exec"), {"print": printed.append})
    assert recipe_from_dict(parse_yaml(printed[0])).name == "mine"


def test_the_example_of_winning_rules_is_true():
    recipe = recipe_from_dict(parse_yaml(SNIPPETS[1]))
    spec = recipe.resolve("linear", "stages.3.1.fc", "weight")
    assert spec is not None
    assert (spec.bits, spec.scheme, spec.granularity, spec.observer) == (
        6,
        "symmetric",
        "channel",
        "mse",
    )
    assert recipe.resolve("linear", "head.fc", "activation") is None


def test_the_schema_page_names_every_key_and_option():
    page = (CONFIGS / "README.md").read_text(encoding="utf-8")
    for key in (*RECIPE_KEYS, *RULE_KEYS):
        assert f"`{key}" in page, key
    for name in OBSERVERS.names():
        row = re.search(rf"\| `{name}` \| (.*) \|", page)
        assert row is not None, name
        options = set(re.findall(r"`(\w+)` \(", row[1]))
        assert options == set(OBSERVERS[name].OPTIONS), name
        # The defaults that the page gives in brackets are those of the code.
        values = OBSERVERS[name].check_options({})
        for option, default in re.findall(r"`(\w+)` \(([\d.]+)\)", row[1]):
            if option != "percentile":
                assert values[option] == float(default)
        assert name in DOCUMENT.read_text(encoding="utf-8")


def test_links_of_the_documents_lead_somewhere():
    for page in (DOCUMENT, CONFIGS / "README.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), link
