"""Sensitivities: a planted bad layer comes first, and the figures are what they say."""

import math

import pytest
import torch
from analysis_cases import one_operator, recipe_of
from torch import nn
from torch.nn import functional as F

from hybridquant.analysis.replay import Replay
from hybridquant.analysis.sensitivity import METRICS, measure, worst_first
from hybridquant.calibration import Calibration
from hybridquant.pipeline import quantize
from hybridquant.recipe import Rule
from hybridquant.report import Predictions, fidelity

# Which layer has too few bits, and of which operand.
PLANTED = [
    ("stem", Rule(("conv2d",), modules=("stem",), operand="weight", bits=2)),
    ("depthwise", Rule(("conv2d",), modules=("depthwise",), bits=2)),
    ("qkv", Rule(("linear",), modules=("qkv",), operand="activation", bits=2)),
    ("head", Rule(("linear",), modules=("head",), operand="weight", bits=2)),
]


@pytest.mark.parametrize(("path", "rule"), PLANTED, ids=[path for path, _ in PLANTED])
def test_the_layer_with_two_bits_comes_first_in_every_metric(tiny_model, images, path, rule):
    found, _ = measure(quantize(tiny_model, images, recipe_of(rule)), Calibration(images))
    first = {metric: worst_first(found, metric)[0].operator.path for metric in METRICS}
    assert first == dict.fromkeys(METRICS, path)


def test_an_outlier_channel_comes_first_in_every_metric(images):
    # One channel of the second convolution's input is 300 times the others, and its weights that
    # much smaller: the function is the same, and 8 bits for the whole tensor are too few.
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.LazyLinear(5)
    ).eval()
    model(images)
    with torch.no_grad():
        model[0].weight[3] *= 300
        model[0].bias[3] *= 300
        model[2].weight[:, 3] /= 300
    rules = (Rule(("relu",), skip=True), Rule(("conv2d",), modules=("0",), skip=True))
    found, _ = measure(quantize(model, images, recipe_of(*rules)), Calibration(images))
    assert [f.operator.path for f in found] == ["2", "4"]
    assert {worst_first(found, metric)[0].operator.path for metric in METRICS} == {"2"}


def test_figures_are_those_of_whole_runs(tiny_model, images):
    graph = quantize(tiny_model, images, recipe_of())
    found, quantized = measure(graph, Calibration(images, batch_size=4))
    replay, labels = Replay(graph), torch.zeros(len(images), dtype=torch.int64)
    y = Predictions(replay.run(images, ()), labels)

    def beside(names):
        return fidelity(y, Predictions(replay.run(images, names), labels))

    close = pytest.approx
    assert quantized.sqnr_db == close(beside(replay.operators).sqnr_db, rel=1e-6)
    for one in found:
        name = one.operator.node
        alone, without = beside({name}), beside(set(replay.operators) - {name})
        assert one.alone.sqnr_db == close(alone.sqnr_db, rel=1e-6)
        assert (one.alone.agreement, one.without.agreement) == (alone.agreement, without.agreement)
        # Logits of images apart and together differ by float32's rounding.
        assert one.alone.kl == close(alone.kl, rel=1e-3, abs=1e-9)
        assert one.gain == close(quantized.kl - without.kl, rel=1e-3, abs=1e-9)


def test_fisher_is_squared_gradient_times_squared_error(images):
    model = one_operator()
    graph = quantize(model, images, recipe_of())
    (found,), _ = measure(graph, Calibration(images))
    y, y_hat = model(images).detach(), graph(images).detach()
    # The only operator computes the logits: the gradient of the loss is softmax minus one-hot.
    gradient = y.softmax(1) - F.one_hot(y.argmax(1), 4)
    expected = (gradient * (y_hat - y)).square().sum(1).mean()
    assert found.fisher == pytest.approx(float(expected), rel=1e-4)


def test_one_operator_alone_is_the_whole_model(images):
    graph = quantize(one_operator(), images, recipe_of())
    (found,), quantized = measure(graph, Calibration(images))
    assert found.alone == quantized
    assert found.without.sqnr_db == math.inf
    assert found.without.kl == 0.0
    assert (found.operator.kind, found.operator.path, found.operator.bits) == (
        "linear",
        "only",
        "W8 A8",
    )


def test_batches_do_not_change_the_order(tiny_model, images):
    graph = quantize(tiny_model, images, recipe_of(PLANTED[0][1]))
    orders = {
        tuple(f.operator.node for f in worst_first(measure(graph, Calibration(images, size))[0]))
        for size in (1, 4, 32)
    }
    assert len(orders) == 1


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="metric must be one of kl, sqnr, fisher, gain, got 'mse'"):
        worst_first([], "mse")
