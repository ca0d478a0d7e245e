"""Recipes as plain data and as YAML."""

import copy
import re

import pytest
import yaml

from hybridquant.recipe import (
    PassSpec,
    Recipe,
    Rule,
    recipe_from_dict,
    recipe_to_dict,
    recipe_to_yaml,
)
from hybridquant.recipe.field_error import FieldError
from hybridquant.recipe.text import parse_yaml

LEGAL = {
    "name": "test",
    "description": "Test.",
    "rules": [{"operators": "*", "bits": 8}, {"operators": ["add", "mul"], "skip": True}],
    "passes": ["observe"],
}


def test_single_names_and_lists_are_the_same():
    recipe = recipe_from_dict(LEGAL)
    assert recipe == Recipe(
        name="test",
        description="Test.",
        rules=(Rule(("*",), bits=8), Rule(("add", "mul"), skip=True)),
        passes=(PassSpec("observe"),),
    )
    listed = copy.deepcopy(LEGAL)
    listed["rules"][0]["operators"] = ["*"]
    listed["passes"] = [{"observe": {}}]
    assert recipe_from_dict(listed) == recipe


RECIPES = [
    recipe_from_dict(LEGAL),
    Recipe(
        name="every/field",
        description="A long one: " + "words with: colons, 'quotes' and # signs " * 5,
        source="läßt sich schreiben",
        rules=(
            Rule(("conv*", "linear"), ("@first", "*.fc?", "a.[0-3]"), "weight", bits=2),
            Rule(
                ("*",),
                scheme="symmetric",
                granularity="channel",
                observer="percentile",
                observer_options={"lower": 1e-7, "upper": 0.99999},
                include_zero=False,
                quantizer="affine",
            ),
            Rule(("*",), observer="mse", observer_options={"candidates": 50, "exponent": 2.4}),
            Rule(("*",), observer="minmax"),
            Rule(("matmul",), operand="activation", skip=True),
            Rule(("gelu",), bits=8, optional=True),
        ),
        passes=(PassSpec("observe"), PassSpec("observe")),
    ),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_round_trip(recipe):
    assert recipe_from_dict(recipe_to_dict(recipe)) == recipe
    text = recipe_to_yaml(recipe)
    assert recipe_from_dict(parse_yaml(text)) == recipe
    assert recipe_to_yaml(recipe_from_dict(parse_yaml(text))) == text


# Where to put what (... takes the key away, no path replaces the whole recipe), error.
BAD = [
    (None, [], r"recipe must be a mapping with keys among name, .*, got \[\]"),
    (None, None, "recipe must be a mapping.*, got None"),
    (None, "text", "recipe must be a mapping.*, got 'text'"),
    (("nmae",), "x", "recipe must have known keys only, got 'nmae'; did you mean name"),
    ((3,), "x", "recipe must have known keys only, got 3; known: "),
    (("name",), ..., r"recipe must have the key name, got \['description'"),
    (("description",), ..., "recipe must have the key description"),
    (("rules",), ..., "recipe must have the key rules"),
    (("passes",), ..., "recipe must have the key passes"),
    (("name",), 8, "name must be text that is not empty, got 8"),
    (("source",), ["x"], r"source must be text that is not empty, got \['x'\]"),
    (("rules",), {}, r"rules must be a list of at least one, got \{\}"),
    (("rules",), [], "rules must be a list of at least one"),
    (("rules", 1), "skip", r"rules\[1\] must be a mapping with keys among operators, .*'skip'"),
    (("rules", 0, "bit"), 8, r"rules\[0\] must have known keys only, got 'bit'; did you mean bits"),
    (("rules", 0, "operators"), ..., r"rules\[0\] must have the key operators, got \['bits'\]"),
    (("rules", 0, "operators"), {}, r"rules\[0\].operators must be a name or glob"),
    (
        ("rules", 0, "operators"),
        "conv",
        r"rules\[0\].operators must be an operator kind, got 'conv'",
    ),
    (("rules", 0, "modules"), 5, r"rules\[0\].modules must be a name or glob.*, got 5"),
    (("rules", 0, "modules"), ["@end"], r"rules\[0\].modules must be a selector, got '@end'"),
    (("rules", 0, "operand"), "input", r"rules\[0\].operand must be an operand, got 'input'"),
    (("rules", 0, "bits"), 12, r"rules\[0\].bits must be 2, .* or 16, got 12"),
    (("rules", 0, "bits"), 8.0, r"rules\[0\].bits must be 2, .* or 16, got 8.0"),
    (("rules", 0, "bits"), None, r"rules\[0\].bits must have a value, got None"),
    (("rules", 0, "bits"), "eight", r"rules\[0\].bits must be 2, .* or 16, got 'eight'"),
    (("rules", 0, "scheme"), "affine", r"rules\[0\].scheme must be a scheme, got 'affine'"),
    (("rules", 0, "granularity"), "token", r"rules\[0\].granularity must be a granularity"),
    (("rules", 0, "quantizer"), "log3", r"rules\[0\].quantizer must be a quantizer, got 'log3'"),
    (
        ("rules", 0, "include_zero"),
        "no",
        r"rules\[0\].include_zero must be true or false, got 'no'",
    ),
    (("rules", 0, "observer"), "maxmin", r"rules\[0\].observer must be an observer, got 'maxmin'"),
    (("rules", 0, "observer"), ["mse"], r"rules\[0\].observer must be an observer, got \['mse'\]"),
    (("rules", 0, "observer"), {"mse": 1}, r"observer must have the key name, got \['mse'\]"),
    (
        ("rules", 0, "observer"),
        {"name": "mse", "exponents": 2},
        r"rules\[0\].observer must have legal options, .*did you mean exponent",
    ),
    (
        ("rules", 0, "observer"),
        {"name": "percentile", "lower": "1e-5"},
        r"rules\[0\].observer.lower must be a number, got '1e-5'; YAML reads",
    ),
    (("rules", 1, "bits"), 8, r"rules\[1\].skip must stand alone, got \['bits'\]"),
    (("rules", 1, "skip"), False, r"rules\[1\].skip must be true or absent, got False"),
    (("rules", 0, "optional"), False, r"rules\[0\].optional must be true or absent, got False"),
    (("passes",), "observe", "passes must be a list of at least one, got 'observe'"),
    (("passes", 0), "obsrve", r"passes\[0\] must be a pass, got 'obsrve'; did you mean observe"),
    (("passes", 0), 3, r"passes\[0\] must be the name of a pass, or .*, got 3"),
    (("passes", 0), {"observe": 3}, r"passes\[0\].observe must be a mapping of options, got 3"),
    (("passes", 0), {"observe": {"x": 3}}, r"passes\[0\] must have known keys only, got 'x'; it"),
    (("passes", 0), {"a": {}, "b": {}}, r"passes\[0\] must be the name of a pass"),
]


@pytest.mark.parametrize(("path", "value", "text"), BAD, ids=lambda value: str(value)[:30])
def test_refuses(path, value, text):
    data = copy.deepcopy(LEGAL)
    if path is None:
        data = value
    else:
        parent = data
        for key in path[:-1]:
            parent = parent[key]
        if value is ...:
            del parent[path[-1]]
        else:
            parent[path[-1]] = value
    with pytest.raises(FieldError, match=text):
        recipe_from_dict(data)


BAD_YAML = [
    ("name: a\nname: b\n", "the key 'name' stands twice.*line 2"),
    ("rules:\n  - {bits: 8, bits: 4}\n", "the key 'bits' stands twice"),
    ("a: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
    ("modules: *.fc1\n", "undefined alias|expected alphabetic"),
    ("modules: @first\n", "cannot start any token"),
    ("a: [1, 2\n", "expected ',' or ']'"),
    ("{a: 1}: 2\n", "found unhashable key"),
    ("a: 1\n---\nb: 2\n", "expected a single document"),
]


@pytest.mark.parametrize(("text", "error"), BAD_YAML)
def test_refuses_yaml(text, error):
    with pytest.raises(yaml.YAMLError) as info:
        parse_yaml(text)
    assert re.search(error, " ".join(str(info.value).split()))


def test_the_same_key_in_two_mappings_is_fine():
    assert parse_yaml("- {a: 1}\n- {a: 2}\n") == [{"a": 1}, {"a": 2}]
