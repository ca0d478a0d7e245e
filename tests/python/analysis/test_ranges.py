"""Ranges of channels: against values computed by hand and from the model."""

import math

import pytest
import torch
from analysis_cases import recipe_of
from torch import nn

from hybridquant.analysis.ranges import channel_ranges
from hybridquant.calibration import Calibration
from hybridquant.pipeline import quantize
from hybridquant.recipe import Rule

# One pixel an image, three channels: what a 1x1 convolution reads is the image itself.
WIDE, NARROW, EMPTY = 8.0, 0.5, 0.0
IMAGES = torch.tensor([[WIDE, NARROW, EMPTY], [-WIDE, 0.0, EMPTY], [1.0, 0.25, EMPTY]])


class OneConvolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.conv(x).flatten(1)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return OneConvolution().eval()


def ranges_of(model, *rules: Rule):
    images = IMAGES.reshape(3, 3, 1, 1)
    graph = quantize(model, images, recipe_of(*rules))
    found = channel_ranges(graph, Calibration(images, batch_size=2))
    return {tensor.operand: tensor for tensor in found}


def test_an_input_channel_by_channel(model):
    found = ranges_of(model)["activation"]
    assert (found.kind, found.path, found.producer) == ("conv2d", "conv", "input")
    assert found.minimum == (-WIDE, 0.0, 0.0)
    assert found.maximum == (WIDE, NARROW, 0.0)
    assert (found.empty_channels, found.worst_channel) == (1, 1)
    # 16 units wide in one channel, half a unit in the other, whose median is the lower of the two.
    assert found.largest_to_median == pytest.approx(32)
    assert found.bits_lost == pytest.approx(5, abs=0.02)
    assert found.median_bits_lost == pytest.approx(0, abs=0.02)
    assert found.low == pytest.approx(-WIDE, abs=0.07)
    assert found.high == pytest.approx(WIDE, abs=0.07)
    assert found.outside == 0.0


def test_a_weight_with_a_scale_a_channel_loses_nothing(model):
    found = ranges_of(model)["weight"]
    weight = model.conv.weight.flatten(1)
    assert found.minimum == tuple(weight.amin(1).tolist())
    assert found.maximum == tuple(weight.amax(1).tolist())
    # Symmetric codes go one further below zero than above.
    assert found.bits_lost == pytest.approx(math.log2(255 / 254), abs=1e-4)
    assert found.outside == 0.0


def test_values_outside_are_counted_beyond_half_a_step(model):
    rule = Rule(
        ("conv2d",), operand="activation", observer="percentile", observer_options={"upper": 0.7}
    )
    found = ranges_of(model, rule)["activation"]
    step = (found.high - found.low) / 255
    values = IMAGES.flatten()
    expected = ((values > found.high + step / 2) | (values < found.low - step / 2)).sum()
    assert expected > 0
    assert found.outside == pytest.approx(int(expected) / len(values))


def test_batches_do_not_change_a_figure(tiny_model, images):
    graph = quantize(tiny_model, images, recipe_of())
    parts = [channel_ranges(graph, Calibration(images, size)) for size in (1, 4, 6)]
    for other in parts[1:]:
        for a, b in zip(parts[0], other, strict=True):
            assert a.outside == b.outside
            assert a.minimum == pytest.approx(b.minimum, abs=1e-5)


def test_every_module_is_there_once_with_all_its_readers(tiny_model, images):
    graph = quantize(tiny_model, images, recipe_of())
    found = channel_ranges(graph, Calibration(images))
    edges = [edge.edge.node for edge in graph.quant_edges]
    assert sorted(node for tensor in found for node in tensor.nodes) == sorted(edges)
    assert len(found) == len({edge.module for edge in graph.quant_edges})
    assert len(found) < len(edges)  # relu's output goes to two operators
