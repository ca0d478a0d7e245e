"""Recipes with raised operators: exactly what was asked for, by rules that load again."""

import pytest
import torch
from analysis_cases import edges_of, recipe_of
from torch import Tensor, nn

from hybridquant.analysis.operators import Operator
from hybridquant.analysis.raising import Raise, raises_for, with_raises
from hybridquant.recipe import Rule, recipe_from_dict, recipe_to_dict

FOUR = Rule(("*",), bits=4)


class Awkward(nn.Module):
    """Adds in the model's own forward, a path with brackets, and a product that stays in float."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.parts = nn.ModuleDict({"a[0]": nn.Linear(4, 4), "a0": nn.Linear(4, 4)})
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        y = self.parts["a[0]"](x) + self.parts["a0"](x)
        y = (y @ y.transpose(1, 2)) / (y.square().sum((1, 2), keepdim=True) + 1.0)
        return self.head((y @ x).mean(1))


@pytest.fixture
def edges(images):
    torch.manual_seed(0)
    return edges_of(Awkward().eval(), images)


def changed(recipe, raises, edges):
    """Return the raised edges as (kind, path, operand, bits), and check that the rest stays."""
    raised = with_raises(recipe, raises, edges, "new", "More bits.")
    assert recipe_from_dict(recipe_to_dict(raised)) == raised
    before, after = recipe.resolve_all(edges), raised.resolve_all(edges)
    return {
        (edge.kind, edge.path, edge.operand, edge.is_product, now and now.bits)
        for edge, old, now in zip(edges, before, after, strict=True)
        if old != now
    }


CASES = [
    (
        Raise("conv2d", "stem", "weight", 8),
        {("conv2d", "stem", "weight", False, 8)},
    ),
    (
        Raise("linear", "head", "activation", 16),
        {("linear", "head", "activation", False, 16)},
    ),
    # Only the module of that very name, though the brackets are a glob for the other.
    (
        Raise("linear", "parts.a[0]", "activation", 16),
        {("linear", "parts.a[0]", "activation", False, 16)},
    ),
    # No path, and an input that is a matrix product beside one that is none.
    (
        Raise("div", "", "activation", 16),
        {("div", "", "activation", True, 16), ("div", "", "activation", False, 16)},
    ),
]


@pytest.mark.parametrize(("wanted", "expected"), CASES)
def test_a_raise_changes_what_it_names(edges, wanted, expected):
    assert changed(recipe_of(FOUR), [wanted], edges) == expected


def test_what_the_recipe_leaves_in_float_stays_so(edges):
    recipe = recipe_of(FOUR, Rule(("div",), operand="product", skip=True))
    found = changed(recipe, [Raise("div", "", "activation", 16)], edges)
    assert found == {("div", "", "activation", False, 16)}


def test_inputs_with_as_many_bits_stay_as_they_are(edges):
    has_more = Rule(("div",), operand="product", bits=16, scheme="symmetric")
    found = changed(recipe_of(FOUR, has_more), [Raise("div", "", "activation", 8)], edges)
    assert found == {("div", "", "activation", False, 8)}


class Alike(nn.Module):
    """Two sums read by one operator: a product with a number added, and one of two tensors."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2)
        product = x @ x.transpose(1, 2) + 1.0
        return torch.maximum(product, x[:, :, :3] + x[:, :, 3:6]).flatten(1)


@pytest.mark.parametrize("other", [{"skip": True}, {"bits": 16, "scheme": "symmetric"}])
def test_an_input_that_a_rule_takes_along_is_put_back(images, other):
    # Both inputs were made by an addition: no producer tells them apart.
    recipe = recipe_of(FOUR, Rule(("maximum",), operand="product", **other))
    edges = edges_of(Alike().eval(), images)
    found = changed(recipe, [Raise("maximum", "", "activation", 16)], edges)
    assert found == {("maximum", "", "activation", False, 16)}


def test_rules_of_one_kind_become_one(edges):
    raises = [Raise("linear", path, "activation", 16) for path in ("head", "parts.a0")]
    recipe = recipe_of(FOUR)
    raised = with_raises(recipe, raises, edges, "new", "More bits.")
    assert raised.rules[len(recipe.rules) :] == (
        Rule(
            ("linear",),
            ("head", "parts.a0"),
            "activation",
            bits=16,
            scheme="asymmetric",
            granularity="tensor",
            observer="minmax",
            include_zero=True,
            quantizer="affine",
        ),
    )


def test_raises_for_takes_each_module_once_in_order():
    operators = [
        Operator("m1", "matmul", "attn", None, (8, 8)),
        Operator("c", "conv2d", "stem", 4, (16,)),
        Operator("m2", "matmul", "attn", None, (8, 8)),
        Operator("l", "linear", "head", 8, (8,)),
    ]
    assert raises_for(operators, "weight", 8) == [Raise("conv2d", "stem", "weight", 8)]
    assert raises_for(operators, "activation", 16) == [
        Raise("matmul", "attn", "activation", 16),
        Raise("linear", "head", "activation", 16),
    ]
