"""A convolution that reads the image's bytes, against normalisation and convolution in float64."""

import pytest
import torch
import torch.nn.functional as F
from integer_cases import BYTES, MEAN, RECIPE, STD
from torch import nn

import hybridquant
from hybridquant.lower import lower, simulate

CONVOLUTIONS = {
    "plain": nn.Conv2d(3, 6, 3, 2, 1),
    "patches": nn.Conv2d(3, 6, 4, 4, bias=False),
    "wide_border": nn.Conv2d(3, 6, (5, 7), (1, 2), (4, 6)),
    "dilated": nn.Conv2d(3, 6, 3, 1, 2, dilation=2),
    "single": nn.Conv2d(3, 6, 1),
}


def exact_image(image, mean, std):
    mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (mean, std))
    return (image.double() / 255 - mean) / std


def lowered(convolution, mean, std, recipe=RECIPE):
    model = nn.Sequential(convolution, nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    images = exact_image(BYTES, mean, std).float()
    return lower(hybridquant.quantize(model, images, recipe), mean, std)


@torch.no_grad()
@pytest.mark.parametrize("std", [STD, (0.1, 0.9, 0.4), (0.2, 0.25, 0.3)])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_normalisation_is_folded(name, std):
    torch.manual_seed(0)
    convolution = CONVOLUTIONS[name]
    graph = lowered(convolution, MEAN, std)
    node = graph.nodes[0]
    assert (node.op, node.inputs) == ("conv2d", ("image",))
    used, codes = graph.tensors[node.output].codes, node.constants["weight"]
    # What a code of a weight stands for, from its multiplier.
    m, shift = node.constants["m"].double(), node.constants["shift"].double()
    step = (m / 2**shift * used.scale * 255)[:, None, None, None]
    recipes = step * min(std)
    clamped = convolution.weight.clamp(-128 * recipes, 127 * recipes)
    step = step * torch.tensor(std, dtype=torch.float64)[:, None, None]
    errors = (codes * step - clamped).abs() / step
    assert errors[codes.abs() < 127].max() <= 0.5 + 1e-4
    # To the nearest code, at the border too; a tap and the bias are off by half a byte's step.
    options = (convolution.stride, convolution.padding, convolution.dilation)
    bias = None if convolution.bias is None else convolution.bias.double()
    x = exact_image(BYTES[8:], MEAN, std)
    exact = F.conv2d(x, codes * step, bias, *options)
    steps = (exact / used.scale + used.zero_point).clamp(used.lowest, used.highest)
    found = simulate(graph, BYTES[8:])[node.output]
    assert (found - steps).abs().max() <= 0.5 + 2**-6
    reference = F.conv2d(x, convolution.weight.double(), bias, *options)
    assert (exact - reference).norm() <= 0.02 * reference.norm()


def test_equal_deviations_keep_the_codes_of_the_recipe():
    torch.manual_seed(0)
    weight = nn.Conv2d(3, 6, 3)
    graph = lowered(weight, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    images = exact_image(BYTES, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)).float()
    quantized = hybridquant.quantize(nn.Sequential(weight, nn.Flatten()).eval(), images, RECIPE)
    (edge,) = (e for e in quantized.quant_edges if e.edge.operand == "weight")
    module = quantized.module_of(edge)
    expected = (module(weight.weight).detach() / module.scale[:, None, None, None]).round()
    assert torch.equal(graph.nodes[0].constants["weight"], expected.to(torch.int8))


def test_channels_apart_go_through_a_table():
    graph = lowered(nn.Conv2d(3, 6, 3, groups=3), MEAN, STD)
    assert [node.op for node in graph.nodes[:2]] == ["channel_table", "conv2d"]
    assert "tap_offset" not in graph.nodes[1].constants
