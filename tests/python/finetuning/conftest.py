"""A small graph to fine-tune."""

import pytest

from hybridquant.pipeline import quantize
from hybridquant.recipe import PassSpec, Recipe, Rule

RECIPE = Recipe(
    "w4a4",
    "Test.",
    (
        Rule(("*",), bits=4, observer="mse"),
        Rule(("*",), operand="weight", scheme="symmetric", granularity="channel"),
    ),
    (PassSpec("observe"),),
)


@pytest.fixture
def graph(tiny_model, images):
    return quantize(tiny_model, images, RECIPE)
