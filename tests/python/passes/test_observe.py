"""The pass observe."""

import pytest
import torch
from torch import nn

from hybridquant.calibration import Calibration
from hybridquant.capture import capture
from hybridquant.passes import PASSES
from hybridquant.quant_graph import prepare
from hybridquant.types import QuantSpec

KEEP = torch.ones(8, 8, dtype=torch.bool).tril()
BIAS = torch.linspace(-40, 40, 64).view(8, 8)


class Softmax(nn.Module):
    """A softmax over the last axis of the images and what is added to them."""

    def __init__(self, added, is_read_elsewhere=False):
        super().__init__()
        self.added, self.is_read_elsewhere = added, is_read_elsewhere

    def forward(self, x):
        logits = x + self.added
        return logits.softmax(-1) + (logits @ x if self.is_read_elsewhere else 0)


def lowest(model):
    """Return the smallest value that the codes of the softmax's input stand for."""
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    specs = lambda edges: [QuantSpec(observer="minmax")] * len(edges)  # noqa: E731
    graph = prepare(capture(model.eval(), images), specs)
    graph = PASSES["observe"](graph, Calibration(images))
    edge = next(edge for edge in graph.quant_edges if edge.edge.kind == "softmax")
    module = graph.module_of(edge)
    return float((module.qmin - module.zero_point) * module.scale), images


@pytest.mark.parametrize("number", [float("-inf"), torch.finfo().min, -1e4, -100.0])
def test_masked_logits_do_not_widen_the_range(number):
    mask = torch.zeros(8, 8).masked_fill(~KEEP, number)
    found, images = lowest(Softmax(mask))
    smallest_peak = (images + mask).amax(-1).min()
    assert found == pytest.approx(float(smallest_peak) - 16, abs=0.1)


@pytest.mark.parametrize(
    "model",
    [Softmax(BIAS), Softmax(BIAS - 200 * (~KEEP).float(), is_read_elsewhere=True)],
    ids=["no mask", "read elsewhere"],
)
def test_other_ranges_are_whole(model):
    found, images = lowest(model)
    assert found == pytest.approx(float((images + model.added).min()), rel=0.02)


def test_quantizers_choose_their_own_parameters_from_all_batches():
    images = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 3

    def model(x):
        return nn.functional.layer_norm(x, [8]).softmax(-1) @ x

    class Model(nn.Module):
        def forward(self, x):
            return model(x)

    def specs(edges):
        return [
            QuantSpec(bits=4, quantizer="log2", observer="mse", observer_options={"exponent": 2.4})
            if edge.kind == "matmul" and edge.position == 0
            else QuantSpec(quantizer="ptf", granularity="channel")
            if edge.kind == "layer_norm"
            else QuantSpec()
            for edge in edges
        ]

    states = []
    for parts in ([images], images.split(2)):
        graph = prepare(capture(Model().eval(), images), specs)
        PASSES["observe"](graph, Calibration(parts))
        states.append(graph.state_dict())
        modules = {type(graph.module_of(edge)).__name__ for edge in graph.quant_edges}
        assert modules == {"Log2FakeQuant", "PtfFakeQuant", "AffineFakeQuant"}
        log2 = next(
            graph.module_of(edge) for edge in graph.quant_edges if edge.spec.quantizer == "log2"
        )
        assert log2.scale.tolist() == [1.0]
        error = (graph(images) - model(images)).norm() / model(images).norm()
        assert float(error) < 0.3
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
