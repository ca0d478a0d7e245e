"""Rule: what it matches, what it sets, what it refuses."""

import pytest

from hybridquant.recipe import Rule
from hybridquant.recipe.field_error import FieldError

PATH = "stages.2.1.conv_1x1"

# rule fields, kind, path, operand, selectors, matches?
MATCHES = [
    ({"operators": ("conv2d",)}, "conv2d", PATH, "weight", (), True),
    ({"operators": ("conv2d",)}, "linear", PATH, "weight", (), False),
    ({"operators": ("linear", "conv2d")}, "conv2d", PATH, "weight", (), True),
    ({"operators": ("conv*",)}, "conv_transpose2d", PATH, "weight", (), True),
    ({"operators": ("*",)}, "softmax", PATH, "activation", (), True),
    ({"operators": ("*",)}, "softmax", "", "activation", (), True),  # the root module
    ({"operators": ("*",), "operand": "weight"}, "conv2d", PATH, "weight", (), True),
    ({"operators": ("*",), "operand": "weight"}, "conv2d", PATH, "activation", (), False),
    ({"operators": ("*",), "operand": "activation"}, "conv2d", PATH, "weight", (), False),
    ({"operators": ("*",), "operand": "product"}, "div", PATH, "product", (), True),
    ({"operators": ("*",), "operand": "product"}, "div", PATH, "activation", (), False),
    ({"operators": ("*",), "operand": "activation"}, "div", PATH, "product", (), True),
    ({"operators": ("*",), "operand": "weight"}, "div", PATH, "product", (), False),
    ({"operators": ("*",)}, "div", PATH, "product", (), True),
    ({"operators": ("*",), "modules": ("stages.2.*",)}, "conv2d", PATH, "weight", (), True),
    ({"operators": ("*",), "modules": ("stages.2",)}, "conv2d", PATH, "weight", (), False),
    ({"operators": ("*",), "modules": ("*.conv_1x1",)}, "conv2d", PATH, "weight", (), True),
    ({"operators": ("*",), "modules": ("STAGES.*",)}, "conv2d", PATH, "weight", (), False),
    ({"operators": ("*",), "modules": ("stages.[13].*",)}, "conv2d", PATH, "weight", (), False),
    ({"operators": ("*",), "modules": ("x", "stages.?.1*")}, "conv2d", PATH, "weight", (), True),
    ({"operators": ("*",), "modules": ("@first",)}, "conv2d", PATH, "weight", ("@first",), True),
    ({"operators": ("*",), "modules": ("@first",)}, "conv2d", PATH, "weight", ("@last",), False),
    ({"operators": ("*",), "modules": ("@first",)}, "conv2d", "@first", "weight", (), False),
    ({"operators": ("*",), "modules": ("@last", "x")}, "conv2d", "x", "weight", (), True),
    ({"operators": ("*",), "modules": ("@root",)}, "add", "", "activation", (), True),
    ({"operators": ("*",), "modules": ("@root",)}, "add", "blocks", "activation", (), False),
    (
        {"operators": ("linear",), "modules": ("@first",)},
        "conv2d",
        "",
        "weight",
        ("@first",),
        False,
    ),
]


@pytest.mark.parametrize(("fields", "kind", "path", "operand", "selectors", "expected"), MATCHES)
def test_matches(fields, kind, path, operand, selectors, expected):
    assert Rule(**fields, bits=8).matches(kind, path, operand, selectors) is expected


def test_settings_are_the_fields_that_are_set():
    assert Rule(("*",), skip=True).settings() == {}
    assert Rule(("*",), include_zero=False).settings() == {"include_zero": False}
    every = {
        "bits": 4,
        "scheme": "symmetric",
        "granularity": "channel",
        "observer": "ema",
        "observer_options": {"momentum": 0.5},
        "include_zero": True,
        "quantizer": "affine",
        "quantizer_options": {},
    }
    assert Rule(("*",), **every).settings() == every
    # Naming an observer sets its options too, to none.
    assert Rule(("*",), observer="mse").settings() == {"observer": "mse", "observer_options": {}}


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 8, 16])
def test_legal_bits(bits):
    assert Rule(("*",), bits=bits).settings() == {"bits": bits}


# fields, error
BAD = [
    ({"bits": 9}, "bits must be 2, 3, 4, 5, 6, 7, 8 or 16, got 9"),
    ({"bits": 1}, "bits must be .*, got 1"),
    ({"bits": True}, "bits must be .*, got True"),
    ({"bits": "8"}, "bits must be .*, got '8'"),
    ({"bits": []}, r"bits must be .*, got \[\]"),
    ({"scheme": "symetric"}, "scheme must be a scheme, got 'symetric'; did you mean symmetric"),
    (
        {"granularity": "row"},
        "granularity must be a granularity, got 'row'; known: channel, head, tensor",
    ),
    ({"observer": "minmx"}, "observer must be an observer, got 'minmx'; did you mean minmax"),
    ({"observer": 3}, "observer must be an observer, got 3"),
    ({"quantizer": "afine"}, "quantizer must be a quantizer, got 'afine'; did you mean affine"),
    ({"include_zero": 1}, "include_zero must be true or false, got 1"),
    ({"observer": "ema", "observer_options": {"momentun": 1}}, "did you mean momentum"),
    ({"observer": "ema", "observer_options": {"momentum": 7}}, r"a number in \[0.0, 1.0\], got 7"),
    (
        {"quantizer": "affine", "quantizer_options": {"form": 1}},
        "quantizer must have legal options, .*options must be known, got 'form'; it has none",
    ),
    ({"operand": "weights", "bits": 8}, "operand must be an operand, got 'weights'; did you mean"),
    ({"operators": ("conv2",), "bits": 8}, "operators must be an operator kind, got 'conv2'; did"),
    ({"operators": ("konv*",), "bits": 8}, r"operators must be an operator kind, got 'konv\*'"),
    ({"operators": ("reshape",), "bits": 8}, "operators must be an operator kind, got 'reshape'"),
    ({"operators": (), "bits": 8}, r"operators must be a name or glob.*, got \[\]"),
    ({"operators": ("", "add"), "bits": 8}, "operators must be a name or glob"),
    ({"operators": "conv2d", "bits": 8}, "operators must be a name or glob.*, got 'conv2d'"),
    ({"modules": (3,), "bits": 8}, r"modules must be a name or glob.*, got \[3\]"),
    ({"modules": ("@frist",), "bits": 8}, "modules must be a selector, got '@frist'; did you mean"),
    ({"skip": True, "bits": 8}, r"skip must stand alone, got \['bits'\]; a skipped edge is float"),
    ({"skip": 1}, "skip must be true or absent, got 1"),
    ({"optional": "yes", "bits": 8}, "optional must be true or absent, got 'yes'"),
    ({"optional": True}, "skip must be true in a rule that sets nothing, got False"),
    ({}, "skip must be true in a rule that sets nothing, got False"),
]


@pytest.mark.parametrize(("fields", "text"), BAD, ids=lambda value: str(value)[:40])
def test_refuses(fields, text):
    with pytest.raises(FieldError, match=text):
        Rule(**{"operators": ("*",), **fields})


def test_is_a_value():
    assert Rule(("*",), bits=8) == Rule(("*",), bits=8)
    assert Rule(("*",), bits=8) != Rule(("*",), bits=4)
    assert len({Rule(("*",), observer="mse"), Rule(("*",), observer="mse")}) == 1


def test_producers_choose_by_who_made_the_input() -> None:
    rule = Rule(("matmul",), producers=("soft*",), bits=4)
    assert rule.matches("matmul", "attn", "activation", producer="softmax")
    assert not rule.matches("matmul", "attn", "activation", producer="linear")
    with pytest.raises(FieldError, match="did you mean softmax"):
        Rule(("matmul",), producers=("sofmax",), bits=4)
