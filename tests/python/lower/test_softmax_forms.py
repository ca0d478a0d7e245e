"""Published exponentials against the published formulas in exact integers."""

import math

import pytest
import torch

from hybridquant.lower.softmax_forms import SoftmaxFormula, softmax_exponentials, softmax_formula

BYTE_M = 255 * 256


def published(formula, distance):
    """Return an exponential by the formulas on the negative side, in Python's integers."""
    y = -distance
    if formula.form == "shift":
        y += math.floor(y / 2) - math.floor(y / 16)
    y = max(y, -formula.octaves * formula.x0)
    k = y // -formula.x0
    r = y + k * formula.x0
    assert -formula.x0 < r <= 0
    e = {
        "linear": r + formula.b,
        "polynomial": r * (r + formula.b) + formula.c,
        "shift": math.floor(r / 2) + formula.x0,
    }[formula.form]
    return e * 2 ** (formula.octaves - k)


@pytest.mark.parametrize("form", ["linear", "polynomial", "shift"])
@pytest.mark.parametrize("scale", [0.001, 0.0371, 0.1, 0.3, 0.69])
def test_exponentials_are_the_published_ones(form, scale):
    formula = softmax_formula(form, scale, 256, BYTE_M)
    table = softmax_exponentials(formula, 65536)
    distances = [*range(300), *range(300, 65536, 97)]
    assert [int(table[d]) for d in distances] == [published(formula, d) for d in distances]
    assert int(table.min()) >= 0
    assert int(table[0]) * 256 < 2**53
    assert int(table[0]) * BYTE_M < 2**61


def test_integers_by_hand():
    assert softmax_formula("linear", 0.1, 64, BYTE_M) == SoftmaxFormula("linear", 30, 7, 13, 0)
    expected = SoftmaxFormula("polynomial", 30, 7, 27, 279)
    assert softmax_formula("polynomial", 0.1, 64, BYTE_M) == expected
    assert softmax_formula("shift", 0.3, 64, BYTE_M) == SoftmaxFormula("shift", 15, 4, 0, 0)


def test_fine_scales_have_fewer_octaves():
    assert softmax_formula("polynomial", 0.0001, 1024, BYTE_M).octaves == 14


@pytest.mark.parametrize(("form", "tolerance"), [("linear", 0.07), ("polynomial", 0.02)])
def test_shares_are_near_those_of_the_softmax(form, tolerance):
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 100, (16, 64), generator=generator)
    table = softmax_exponentials(softmax_formula(form, 0.02, 64, BYTE_M), 256)
    e = table[codes.amax(-1, keepdim=True) - codes].double()
    exact = torch.softmax(codes.double() * 0.02, -1)
    assert ((e / e.sum(-1, keepdim=True) / exact) - 1).abs().max() < tolerance


@pytest.mark.parametrize(("form", "scale"), [("linear", 0.7), ("shift", 1.01), ("linear", 0.0)])
def test_coarse_scales_are_refused(form, scale):
    with pytest.raises(ValueError, match="softmax_formula: scale must be in"):
        softmax_formula(form, scale, 64, BYTE_M)


def test_sums_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="scale must be coarser for rows of 65535"):
        softmax_formula("polynomial", 1e-6, 65535, BYTE_M)
