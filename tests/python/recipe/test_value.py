"""Recipe: how rules add up over the edges of a model."""

import pytest

from hybridquant.recipe import PassSpec, Recipe, Rule
from hybridquant.recipe.field_error import FieldError
from hybridquant.types import Edge, QuantSpec

# A small model in graph order; add comes first to show that @first is about products.
EDGES = [
    Edge("add_0", 0, "add", "", "activation"),
    Edge("conv_0", 0, "conv2d", "stem.conv", "activation"),
    Edge("conv_0", 1, "conv2d", "stem.conv", "weight"),
    Edge("relu_0", 0, "relu", "stem.act", "activation"),
    Edge("matmul_0", 0, "matmul", "blocks.0.attn", "activation"),
    Edge("matmul_0", 1, "matmul", "blocks.0.attn", "activation"),
    Edge("linear_0", 0, "linear", "blocks.0.mlp.fc1", "activation"),
    Edge("linear_0", 1, "linear", "blocks.0.mlp.fc1", "weight"),
    Edge("linear_1", 0, "linear", "head", "activation"),
    Edge("linear_1", 1, "linear", "head", "weight"),
    Edge("softmax_0", 0, "softmax", "", "activation", is_product=True),
]


def make(*rules):
    passes = (PassSpec("observe"),)
    return Recipe(name="test", description="Test.", rules=rules, passes=passes)


def bits(recipe):
    """Return the bits of each edge, 32 for float."""
    return [32 if spec is None else spec.bits for spec in recipe.resolve_all(EDGES)]


# rules, bits of each edge
CASES = [
    ([Rule(("*",), bits=8)], [8] * 11),
    ([Rule(("conv2d",), bits=8)], [32, 8, 8, *[32] * 8]),
    (
        [Rule(("*",), bits=8), Rule(("*",), operand="weight", bits=4)],
        [8, 8, 4, *[8] * 4, 4, 8, 4, 8],
    ),
    # Order matters: the last match wins.
    ([Rule(("*",), operand="weight", bits=4), Rule(("*",), bits=8)], [8] * 11),
    ([Rule(("*",), bits=8), Rule(("linear",), skip=True)], [*[8] * 6, *[32] * 4, 8]),
    (
        [Rule(("*",), bits=8), Rule(("*",), skip=True), Rule(("linear",), observer="mse")],
        [*[32] * 6, *[8] * 4, 32],  # what a skip dropped comes back with its fields
    ),
    ([Rule(("*",), modules=("@first",), bits=8)], [32, 8, 8, *[32] * 8]),
    ([Rule(("*",), modules=("@last",), bits=8)], [*[32] * 8, 8, 8, 32]),
    (
        [Rule(("*",), bits=4), Rule(("*",), ("@first", "@last"), "weight", bits=8)],
        [4, 4, 8, *[4] * 6, 8, 4],
    ),
    ([Rule(("*",), operand="product", bits=8)], [*[32] * 10, 8]),
    ([Rule(("*",), bits=8), Rule(("*",), operand="product", skip=True)], [*[8] * 10, 32]),
    ([Rule(("*",), modules=("blocks.0.*",), bits=8)], [*[32] * 4, *[8] * 4, *[32] * 3]),
]


@pytest.mark.parametrize(("rules", "expected"), CASES)
def test_rules_add_up(rules, expected):
    assert bits(make(*rules)) == expected


def test_fields_are_overridden_one_by_one():
    recipe = make(
        Rule(
            ("*",), bits=4, scheme="symmetric", observer="ema", observer_options={"momentum": 0.5}
        ),
        Rule(("linear",), granularity="channel", include_zero=False),
        Rule(("linear",), operand="weight", observer="mse", bits=6),
    )
    options = {"momentum": 0.5}
    first = QuantSpec(bits=4, scheme="symmetric", observer="ema", observer_options=options)
    assert recipe.resolve("add", "", "activation") == first
    assert recipe.resolve("linear", "head", "activation") == QuantSpec(
        bits=4,
        scheme="symmetric",
        granularity="channel",
        observer="ema",
        observer_options=options,
        include_zero=False,
    )
    assert recipe.resolve("linear", "head", "weight") == QuantSpec(
        bits=6,
        scheme="symmetric",
        granularity="channel",
        observer="mse",  # with its own options, not those of ema
        include_zero=False,
    )


def test_what_no_rule_sets_has_the_default():
    assert make(Rule(("*",), bits=8)).resolve("add", "", "activation") == QuantSpec()


UNMATCHED = [
    (
        Rule(("gelu",), bits=8),
        "operators gelu, modules *, operand all; the model's operators are add, conv2d, linear, ",
    ),
    (
        Rule(("linear",), modules=("blocks.0.mlp.fc2",), bits=8),
        "operators linear, modules blocks.0.mlp.fc2, operand all; modules with these operators are "
        "blocks.0.mlp.fc1",
    ),
    (
        Rule(("conv2d", "linear"), modules=("zzz", "@first"), operand="weight", skip=True),
        None,  # matches: one of several patterns is enough
    ),
    (
        Rule(("linear",), modules=("@first",), bits=8),
        "modules @first, operand all; modules with these operators are blocks.0.mlp.fc1, head",
    ),
    (
        Rule(("matmul", "add"), operand="weight", bits=8),
        "the operators it matches have these operands only: activation",
    ),
    (
        Rule(("softmax",), operand="weight", bits=8),
        "the operators it matches have these operands only: product",
    ),
]


@pytest.mark.parametrize(("rule", "text"), UNMATCHED)
def test_a_rule_that_matches_nothing_is_an_error(rule, text):
    recipe = make(Rule(("*",), bits=8), rule)
    if text is None:
        recipe.check_all_used(EDGES)
        return
    for check in (recipe.check_all_used, recipe.resolve_all):
        with pytest.raises(ValueError, match=r"recipe test: rules\[1\] must match an edge") as info:
            check(EDGES)
        assert text in str(info.value)


def test_an_optional_rule_may_match_nothing():
    rules = [Rule(("*",), bits=8), Rule(("linear",), bits=4, optional=True)]
    assert bits(make(*rules, Rule(("gelu",), skip=True, optional=True))) == bits(make(*rules))
    assert bits(make(*rules)) == [*[8] * 6, *[4] * 4, 8]


def test_a_model_without_products_has_no_ends():
    edges = [edge for edge in EDGES if edge.kind in ("add", "relu")]
    assert make(Rule(("*",), bits=8)).resolve_all(edges) == [QuantSpec()] * 2
    with pytest.raises(ValueError, match=r"rules\[0\] must match an edge.*modules @last"):
        make(Rule(("*",), modules=("@last",), bits=8)).resolve_all(edges)


def test_a_model_without_edges_matches_nothing():
    text = r"rules\[0\] must match an edge.*; the model has no operators to quantize"
    with pytest.raises(ValueError, match=text):
        make(Rule(("*",), bits=8)).resolve_all([])


BAD = [
    ({"name": ""}, "name must be text that is not empty, got ''"),
    ({"name": 3}, "name must be text that is not empty, got 3"),
    ({"description": " "}, "description must be text"),
    ({"source": None}, "source must be text"),
    ({"rules": ()}, "rules must be a list of at least one"),
    ({"rules": [Rule(("*",), bits=8)]}, "rules must be a list of at least one"),
    ({"passes": ()}, "passes must be a list of at least one"),
    ({"passes": ("observe",)}, "passes must be a list of at least one"),
]


@pytest.mark.parametrize(("fields", "text"), BAD)
def test_refuses(fields, text):
    legal = {
        "name": "test",
        "description": "Test.",
        "rules": (Rule(("*",), bits=8),),
        "passes": (PassSpec("observe"),),
    }
    with pytest.raises(FieldError, match=text):
        Recipe(**{**legal, **fields})


def test_passes_and_their_options_have_to_exist():
    with pytest.raises(FieldError, match="must be a pass, got 'obsreve'; did you mean observe"):
        PassSpec("obsreve")
    with pytest.raises(FieldError, match="must have known keys only, got 'speed'"):
        PassSpec("observe", {"speed": 9})
