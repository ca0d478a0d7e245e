"""The rules of requantization against docs/arithmetic.md in Python's integers, and who has them."""

import random
from fractions import Fraction

import pytest
import torch
from integer_cases import BYTES, MEAN, STD, Model, integer_model, normalised
from torch import nn

import hybridquant as hq
from hybridquant.export.integer_ops import OPS
from hybridquant.lower import lower, simulate
from hybridquant.lower.rounding import RULES
from hybridquant.lower.simulate.rounding import requantize


def single(a, m, shift):
    return (a * m + (1 << (shift - 1))) >> shift


def half_even(a, m, shift):
    return round(Fraction(a * m, 1 << shift))


def double(a, m, shift):
    right = shift - 31
    if right < 0:
        a, right = max(-(2**31), min(2**31 - 1, a << -right)), 0
    nudged = a * m + ((1 << 30) if a * m >= 0 else 1 - (1 << 30))
    high = abs(nudged) >> 31
    high = -high if nudged < 0 else high
    mask = (1 << right) - 1
    return (high >> right) + int((high & mask) > (mask >> 1) + int(high < 0))


RULE = {"single": single, "half_even": half_even, "double": double}


def cases(count):
    """Return sums and multipliers whose results are in range, exact halves among them."""
    chance = random.Random(0)
    found = []
    while len(found) < count:
        shift = chance.randint(1, 62)
        a = chance.randint(1 - 2**47, 2**47 - 1) >> chance.randint(0, 46)
        m = chance.choice([chance.randint(0, 2**31 - 1), 1 << chance.randint(0, 30)])
        if abs(a * m) >> shift < 2**61:
            found.append((a, m, shift))
    return found


@pytest.mark.parametrize("rounding", RULE)
def test_requantize(rounding):
    found = cases(5000)
    a, m, shift = (torch.tensor(numbers) for numbers in zip(*found, strict=True))
    expected = [RULE[rounding](*case) for case in found]
    assert requantize(a, m, shift, rounding).tolist() == expected


def test_the_cases_tell_the_rules_apart():
    found = {rounding: [rule(*case) for case in cases(5000)] for rounding, rule in RULE.items()}
    assert found["single"] != found["half_even"] != found["double"] != found["single"]


def test_halves():
    a = torch.tensor([-3, -1, 1, 3, 5])
    found = {rounding: requantize(a, 1 << 30, 31, rounding).tolist() for rounding in RULE}
    assert found["single"] == [-1, 0, 1, 2, 3]
    assert found["half_even"] == [-2, 0, 0, 2, 2]
    assert found["double"] == [-1, 0, 1, 2, 3]
    # Quarters: first halves, as above, then those once more, away from 0. 1/4 becomes 1.
    assert requantize(a, 1 << 30, 32, "double").tolist() == [-1, 0, 1, 1, 2]


def test_a_file_may_have_the_rules_that_nodes_have():
    assert {op: rules.names for op in OPS for rules in OPS[op].optional.values()} == RULES


@pytest.mark.parametrize("rounding", ["half_even", "double"])
def test_lower_writes_the_rule_into_the_nodes_that_have_it(rounding):
    quantized, plain = integer_model(Model(lambda model, x: model.norm(x.mT.mT + x).relu()))
    ruled = lower(quantized, (0.5, 0.4, 0.3), (0.25, 0.25, 0.25), rounding)
    assert len(ruled.nodes) == len(plain.nodes)
    for node, before in zip(ruled.nodes, plain.nodes, strict=True):
        assert "rounding" not in before.attributes
        has_rule = rounding in RULES.get(node.op, ())
        assert node.attributes.get("rounding") == (rounding if has_rule else None)
    assert {"conv2d", "linear"} <= {n.op for n in ruled.nodes if "rounding" in n.attributes}


@pytest.mark.parametrize("rounding", RULE)
def test_the_engine_rounds_by_the_rule(rounding):
    model = Model(lambda model, x: torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1) * x[:, :1, 0, 0])
    quantized, _ = integer_model(model)
    config = hq.DataConfig((3, 16, 16), mean=(0.5, 0.4, 0.3), std=(0.25, 0.25, 0.25))
    engine = hq.to_integer(quantized, config, rounding=rounding)
    expected = simulate(lower(quantized, config.mean, config.std, rounding), BYTES[8:])
    trace = engine.trace(BYTES[8:])
    assert len(trace) > 3
    for name, found in trace.items():
        assert torch.equal(found.long(), expected[name]), name


def test_another_rule_is_refused():
    quantized, _ = integer_model(Model(lambda _, x: x))
    with pytest.raises(ValueError, match="rounding must be one of single, half_even, double, got"):
        lower(quantized, (0.5, 0.4, 0.3), (0.25, 0.25, 0.25), "up")


WIDE = """
name: wide
description: 16 bits for activations.
rules:
  - {operators: "*", operand: activation, bits: 16}
  - {operators: "*", operand: weight, scheme: symmetric, granularity: channel, optional: true}
passes: [observe]
"""


class Sums(nn.Module):
    """A head whose products all have one sign, so that its sums are as large as they can be."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3 * 16 * 16, 5)
        with torch.no_grad():
            self.head.weight.uniform_(0.05, 0.1)
            self.head.weight[1] += 0.1

    def forward(self, images):
        return self.head(images.abs().flatten(1))


@pytest.mark.parametrize("rounding", RULE)
@pytest.mark.parametrize("last", ["linear", "sum"])
def test_large_logits_are_not_clamped(rounding, last, tmp_path):
    torch.manual_seed(0)
    model = Sums()
    if last == "sum":
        model.forward = lambda images: (images.abs() + 1).sum((2, 3))
    (tmp_path / "wide.yaml").write_text(WIDE)
    quantized = hq.quantize(model.eval(), normalised(BYTES[:8]), tmp_path / "wide.yaml")
    graph = lower(quantized, MEAN, STD, rounding)
    output = graph.tensors[graph.output]
    wanted = quantized(normalised(BYTES[8:]))
    codes = simulate(graph, BYTES[8:])[graph.output]
    assert (codes * output.codes.scale - wanted).abs().max() < 1e-3 * wanted.abs().max()
