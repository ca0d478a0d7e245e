"""Choices by constant masks."""

import pytest
import torch

from hybridquant.capture import UnsupportedOperatorError

MASK = torch.arange(8) > 3
ZERO = torch.zeros(())

CASES = [
    ("fill with nothing", lambda x: x.masked_fill(MASK, 0.0), ["mul"]),
    ("fill", lambda x: x.masked_fill(MASK, -3.0), ["mul", "add"]),
    ("fill with -inf", lambda x: x.masked_fill(MASK, float("-inf")).softmax(-1), None),
    ("choose a number", lambda x: torch.where(MASK, x, ZERO), ["mul"]),
    ("choose a number first", lambda x: torch.where(MASK, 2.0, x), ["mul", "add"]),
    ("choose", lambda x: torch.where(MASK, x, x * x), ["mul", "mul", "mul", "add"]),
    ("choose for all", lambda x: torch.where(MASK, x[:, :1], x), ["slice", "mul", "mul", "add"]),
    ("triangle", torch.tril, ["mul"]),
]


@pytest.mark.parametrize(
    ("function", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_masks(check, function, expected):
    found = check(function).kinds
    assert found == expected or expected is None


REFUSED = [
    ("mask from data", lambda x: x.masked_fill(x > 0, 2.0), "mask of data"),
    ("choice from data", lambda x: torch.where(x > 0, x, x * x), "chooses by data"),
]


@pytest.mark.parametrize(
    ("function", "text"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_refused(check, function, text):
    with pytest.raises(UnsupportedOperatorError, match=text):
        check(function)
