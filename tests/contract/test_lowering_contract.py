"""Every model of models.txt becomes integers by one shipped recipe, and the engine runs it exactly.

Weights are random, as in test_capture_contract.py. Ranges are those of two photographs: the
observers of the recipe take longer, and choose only numbers.
"""

from dataclasses import replace

import pytest
import torch
from test_capture_contract import LINES, parse, photographs, randomize

import hybridquant as hq
from hybridquant.calibration import Calibration
from hybridquant.capture import capture
from hybridquant.lower import lower, simulate
from hybridquant.lower.simulate import SIMULATORS
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph, prepare
from hybridquant.recipe import load_recipe

RECIPE = load_recipe("integer/w8a8")
# One a family, and what has an operator of its own; the rest take the same paths for longer.
FAST = {
    *("mobilevit_xxs", "mobilevitv2_050", "efficientformerv2_s0", "efficientvit_b0"),
    *("edgenext_xx_small", "fastvit_t8", "levit_128s", "swiftformer_xs", "nextvit_small"),
    *("shvit_s1", "mobilenet_v3_small"),
}
# Integers may be as far from the simulated quantization as that is from float: a code that falls
# the other way is one more rounding. Twice, because with random weights both are chance.
TIMES_FURTHER = 2.0


def name_of(line: str) -> str:
    return line.split()[0].partition(":")[2]


PARAMS = [
    pytest.param(line, marks=[] if name_of(line) in FAST else pytest.mark.slow, id=name_of(line))
    for line in LINES
]


def quantized(line: str) -> tuple[QuantGraph, torch.Tensor]:
    """Return a model of models.txt in the recipe's bits, and two photographs of its size."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    model, size = parse(line)
    randomize(model.eval())
    images = photographs(2, size)
    rules = [
        replace(rule, observer="minmax", observer_options={}) if rule.observer else rule
        for rule in RECIPE.rules
    ]
    graph = prepare(capture(model, images), replace(RECIPE, rules=tuple(rules)).resolve_all)
    return PASSES["observe"](graph, Calibration(images)), images


@torch.no_grad()
@pytest.mark.parametrize("line", PARAMS)
def test_every_operator_becomes_integer(line):
    graph, images = quantized(line)
    config = hq.DataConfig((3, *images.shape[2:]))
    integers = lower(graph, config.mean, config.std)
    assert {node.op for node in integers.nodes} <= set(SIMULATORS.names())
    assert not any(
        value.is_floating_point() for node in integers.nodes for value in node.constants.values()
    )

    mean, std = (torch.tensor(v)[:, None, None] for v in (config.mean, config.std))
    image = ((images[:1] * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
    expected = simulate(integers, image)
    codes = integers.tensors[integers.output].codes
    logits = (expected[integers.output] - codes.zero_point) * codes.scale
    simulated = graph(images[:1])
    with graph.fake_quant_off():
        exact = graph(images[:1])
    assert (logits - simulated).norm() <= TIMES_FURTHER * (simulated - exact).norm()

    engine = hq.to_integer(graph, config)
    for name, found in engine.trace(image).items():
        assert torch.equal(found.long(), expected[name]), name
