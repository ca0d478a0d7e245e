"""Multipliers, tables and the integers of norms, against exact fractions."""

import math
import random
from fractions import Fraction

import pytest
import torch

from hybridquant.lower.fixed_point import (
    common_multipliers,
    l2_epsilon,
    multiplier,
    multipliers,
    norm_parameters,
    softmax_table,
)


def nearest(value):
    """Return the nearest integer of a fraction, halves to the even one."""
    return round(value)


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (1.0, (1 << 30, 30)),
        (0.5, (1 << 30, 31)),
        (3.0, (3 << 29, 29)),
        (1 - 2.0**-40, (1 << 30, 30)),  # 2^31 is halved
        (2.0**-31, (1 << 30, 61)),
        (2.0**-32, (1 << 30, 62)),
        (3 * 2.0**-40, (3 << 22, 62)),  # the shift stays, m is smaller
        (2.0**-62, (1, 62)),
        (2.0**-70, (0, 62)),
        (2.0**30 - 1, (2**31 - 2, 1)),
    ],
)
def test_multiplier_by_hand(factor, expected):
    assert multiplier(factor) == expected


@pytest.mark.parametrize("bits", [31, 15])
def test_multiplier_is_the_nearest(bits):
    source = random.Random(1)
    for _ in range(2000):
        factor = 2.0 ** source.uniform(-bits, bits - 2)
        m, shift = multiplier(factor, bits)
        assert 1 <= shift <= 2 * bits
        assert 1 << (bits - 1) <= m < 1 << bits
        assert m == nearest(Fraction(factor) * 2**shift)
        assert abs(Fraction(m, 2**shift) / Fraction(factor) - 1) <= Fraction(1, 2**bits)


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf, 2.0**30, 2.0**30 - 2.0**-10])
def test_multiplier_refuses(factor):
    with pytest.raises(ValueError, match=r"multiplier: factor must be .*got"):
        multiplier(factor)


def test_multipliers_are_those_of_each():
    factors = doubles([[0.3, 7.0], [1e-5, 2.0**-50]])
    m, shift = multipliers(factors)
    assert m.dtype == shift.dtype == torch.int32
    pairs = zip(m.flatten().tolist(), shift.flatten().tolist(), strict=True)
    assert list(pairs) == [multiplier(f) for f in factors.flatten().tolist()]


def test_common_multipliers_share_the_shift_of_the_largest():
    factors = [0.3, -0.9, 0.0, 1e-9]
    m, shift = common_multipliers(doubles(factors))
    assert shift == 31
    assert m.tolist() == [nearest(Fraction(factor) * 2**shift) for factor in factors]
    m, shift = common_multipliers(doubles([-(1 - 2.0**-40), 0.25]))
    assert (m.tolist(), shift) == ([-(1 << 30), 1 << 28], 30)


def test_common_multipliers_of_zeros():
    m, shift = common_multipliers(doubles([0.0, 0.0]))
    assert (m.tolist(), shift) == ([0, 0], 62)


@pytest.mark.parametrize(
    ("factors", "message"),
    [([1.0, math.inf], "must be finite"), ([-(2.0**30)], r"must be below 2\^30, got")],
)
def test_common_multipliers_refuse(factors, message):
    with pytest.raises(ValueError, match=message):
        common_multipliers(doubles(factors))


def test_softmax_table():
    table = softmax_table(0.1, 65536)
    assert (table.dtype, len(table)) == (torch.int32, 65536)
    exact = [65536 * math.exp(-0.1 * d) for d in range(200)]
    assert all(abs(t - e) <= 0.5 + 1e-9 for t, e in zip(table.tolist(), exact, strict=False))
    assert int(table[200:].max()) == 0


def test_norm_parameters_are_the_nearest():
    gamma, beta = [0.5, -1.25, 0.0, 1e-6], [0.1, -3.0, 7.5, 0.0]
    data = norm_parameters(doubles(gamma), doubles(beta), 1e-5, 64, 0.05, 0.02)
    assert 1 << 30 <= int(data.m.abs().max()) < 1 << 31
    step = Fraction(0.02)
    for channel, (g, b) in enumerate(zip(gamma, beta, strict=True)):
        m = Fraction(g) / step * Fraction(2**data.shift, 2**20)
        offset = Fraction(b) / step * 2**data.shift
        assert abs(int(data.m[channel]) - m) <= 0.5 + 1e-6  # float64 divides by the step
        assert abs(int(data.beta[channel]) - offset) <= abs(offset) * 2.0**-52 + 0.5
    assert data.epsilon == nearest(Fraction(1e-5) * 64**2 / Fraction(0.05) ** 2)


def test_norm_parameters_keep_beta_below_its_limit():
    for beta in (3.0, 1e5, -(2.0**20), 2.0**20 - 1e-9):
        data = norm_parameters(doubles([1e-9]), doubles([beta]), 0.0, 4, 0.1, 0.01)
        assert 2**59 <= abs(int(data.beta)) < 2**61
        assert abs(int(data.m) / 2**data.shift - 1e-9 / 0.01 / 2**20) <= 2.0**-data.shift
        assert data.epsilon == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([math.nan], [0.0], 1e-5, 8, 0.1, 0.1), "gamma and beta must be finite"),
        (([1.0], [1.0], 1e-5, 8, 0.1, 1e-30), "must be below"),
        (([1.0], [1.0], 1e-5, 8, 1e-30, 0.1), r"epsilon must be below 2\^62"),
    ],
)
def test_norm_parameters_refuse(arguments, message):
    gamma, beta, *rest = arguments
    with pytest.raises(ValueError, match=message):
        norm_parameters(doubles(gamma), doubles(beta), *rest)


def test_l2_epsilon_rounds_up():
    assert l2_epsilon(1e-12, 0.1) == 1
    assert l2_epsilon(1.05, 0.1) == math.ceil(Fraction(1.05**2) / Fraction(0.1**2))
