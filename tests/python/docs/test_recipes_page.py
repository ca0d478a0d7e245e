"""Every recipe of docs/recipes.md fits the embedded default model, on which a reader tries it."""

import re
from pathlib import Path

import pytest
import torch

import hybridquant as hq
from hybridquant.recipe import recipe_from_dict
from hybridquant.recipe.text import parse_yaml

PAGE = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text(encoding="utf-8")
RECIPES = [
    recipe_from_dict(parse_yaml(text)) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
]


@pytest.fixture(scope="module")
def default_graph() -> hq.FloatGraph:
    model = hq.load_model(hq.default_model_name())
    return hq.capture(model.module, torch.zeros(2, *model.data_config.input_size))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_of_the_page_fits_the_default(
    recipe: hq.Recipe, default_graph: hq.FloatGraph
) -> None:
    assert hq.prepare(default_graph, recipe.resolve_all).quant_edges


def test_the_recipe_made_in_python_fits_the_default(default_graph: hq.FloatGraph) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {"print": lambda _: None}
    exec(compile(code, "docs/recipes.md", "exec"), names)
    recipe = names["mine"]
    assert isinstance(recipe, hq.Recipe)
    assert hq.prepare(default_graph, recipe.resolve_all).quant_edges
