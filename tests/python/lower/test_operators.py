"""Operators, between a convolution and a classifier, against float64 on the codes they read."""

import pytest
import torch
import torch.nn.functional as F
from integer_cases import BYTES, Model, integer_model, normalised

from hybridquant.lower import simulate

# function, steps of the result by which it may be off beyond its rounding
FUNCTIONS = {
    "larger": (lambda _, x: torch.maximum(x, x.mT), 2**-6),
    "smaller": (lambda _, x: torch.minimum(x, x.flip(2)), 2**-6),
    "largest": (lambda _, x: x.amax((2, 3)), 2**-6),
    "smallest": (lambda _, x: x.amin(1, keepdim=True), 2**-6),
    "negated": (lambda _, x: -x, 2**-6),
    "mean": (lambda _, x: x.mean((1, 3)), 2**-6),
    "even_ceil": (lambda _, x: F.avg_pool2d(x, 2, ceil_mode=True), 2**-6),
    "largest_ceil": (lambda _, x: F.max_pool2d(x, (2, 1), ceil_mode=True), 2**-6),
    # Moved codes are those of the input, unless its readers want others.
    "nearest": (lambda _, x: F.interpolate(x, scale_factor=(2, 1.5)), 2**-6),
    "nearest_size": (lambda _, x: F.interpolate(x, size=(3, 11)), 2**-6),
    "reflect": (lambda _, x: F.pad(x, (1, 2, 3, 0), "reflect"), 2**-6),
    "repeat_border": (lambda _, x: F.pad(x, (1, 0, 3, 2), "replicate"), 2**-6),
    "reflect_tokens": (lambda _, x: F.pad(x.flatten(2), (4, 3), "reflect"), 2**-6),
    # Weights of 11 bits, of which up to 16 x 16 add up.
    "unequal_windows": (lambda _, x: F.adaptive_avg_pool2d(x, (3, 5)), 0.25),
    "bicubic": (lambda _, x: F.interpolate(x, size=(11, 13), mode="bicubic"), 0.25),
    "bicubic_down": (lambda _, x: F.interpolate(x, scale_factor=0.4, mode="bicubic"), 0.25),
    "bicubic_corners": (
        lambda _, x: F.interpolate(x, size=(5, 12), mode="bicubic", align_corners=True),
        0.25,
    ),
    "antialias": (
        lambda _, x: F.interpolate(x, size=(5, 8), mode="bilinear", antialias=True),
        0.25,
    ),
    "l2_rows": (lambda _, x: F.normalize(x, dim=-1), 2**-6),
    "l2_channels": (lambda _, x: F.normalize(x, dim=1), 2**-6),
    "l2_without_epsilon": (lambda _, x: x / x.norm(dim=2, keepdim=True), 2**-6),
    "softmax_columns": (lambda _, x: x.softmax(2), 2**-6),
    # The share of the largest and its logarithm are rounded to 16 bits.
    "log_softmax": (lambda _, x: x.log_softmax(1), 2**-6),
    "batch_norm": (lambda m, x: m.batch_norm(x.flip(2)), 2**-6),
    "batch_norm_tokens": (lambda m, x: m.batch_norm_1d(x.flatten(2).flip(2)), 2**-6),
    "conv1d": (lambda m, x: m.conv1d(x.flatten(2)), 0.5),  # weights of 8 bits
    "largest_beyond": (lambda _, x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), 2**-6),
    "largest_with_gaps": (lambda _, x: F.max_pool2d(x, (3, 2), (2, 1), 1, (2, 3)), 2**-6),
    # Weights of 11 bits.
    "mean_beyond": (
        lambda _, x: F.avg_pool2d(x, 3, 2, ceil_mode=True, count_include_pad=False),
        0.25,
    ),
    "mean_beyond_and_padding": (lambda _, x: F.avg_pool2d(x, (3, 4), 3, 1, ceil_mode=True), 0.25),
    "sum_beyond": (
        lambda _, x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, divisor_override=5),
        0.25,
    ),
    # Unit vectors of 15 bits.
    "length": (lambda _, x: x.norm(dim=1), 2**-5),
    "length_of_images": (lambda _, x: x.norm(dim=(3, 2), keepdim=True), 2**-5),
    # Weights of 8 bits.
    "conv_transpose": (lambda m, x: m.conv_transpose(x), 0.5),
    "conv_transpose_groups": (lambda m, x: m.conv_transpose_groups(x), 0.5),
    "conv_transpose_border": (lambda m, x: m.conv_transpose_border(x), 0.5),
    "conv3d": (lambda m, x: m.conv3d(x.unflatten(1, (2, 4))), 0.5),
    "conv3d_flat": (lambda m, x: m.conv3d_flat(x.unsqueeze(1)), 0.5),
    "prelu": (lambda m, x: m.prelu(x), 0.5),  # slopes of 8 bits
    "prelu_of_one": (lambda m, x: F.prelu(x, m.prelu.weight[:1]), 0.5),
}


@torch.no_grad()
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_nearest_code(name):
    function, more = FUNCTIONS[name]
    torch.manual_seed(0)
    model = Model(function)
    _, graph = integer_model(model)
    values = simulate(graph, BYTES[8:])
    stem = next(node.output for node in graph.nodes if node.op == "conv2d")
    head = next(node.inputs[0] for node in graph.nodes if node.op == "linear")
    x, y = graph.tensors[stem].codes, graph.tensors[head].codes
    exact = function(model.double(), (values[stem] - x.zero_point).double() * x.scale).flatten(1)
    steps = (exact / y.scale + y.zero_point).clamp(y.lowest, y.highest)
    assert (values[head].flatten(1) - steps).abs().max() <= 0.5 + more
    assert values[head].unique().numel() > 5


def all_numbers(value):
    if isinstance(value, list):
        return [number for item in value for number in all_numbers(item)]
    return [value]


@torch.no_grad()
@pytest.mark.parametrize("name", FUNCTIONS)
def test_nodes_hold_plain_numbers_and_integers(name):
    torch.manual_seed(0)
    _, graph = integer_model(Model(FUNCTIONS[name][0]))
    for node in graph.nodes:
        numbers = [number for value in node.attributes.values() for number in all_numbers(value)]
        assert {type(number) for number in numbers} <= {int, bool, str}, node
        assert not any(value.is_floating_point() for value in node.constants.values())
    for tensor in graph.tensors.values():
        codes = tensor.codes
        kinds = {type(n) for n in (codes.zero_point, codes.lowest, codes.highest, *tensor.shape)}
        assert kinds == {int}, tensor
        assert type(codes.scale) is float


def linear_attention(_, x):
    q = F.relu(x.flatten(2)) + 1e-3
    return (q @ (q.mT @ x.flatten(2))) / (q @ q.sum(1)[..., None])


ENDS = {
    "gelu": (lambda _, x: F.gelu(x.mean((2, 3))), "int16"),
    "number": (lambda _, x: x.mean((2, 3)) * 0.5, "int16"),
    "softmax": (lambda _, x: x.mean((2, 3)).softmax(-1), "int16"),
    "layer_norm": (lambda m, x: m.norm(x.mean((2, 3))), "int16"),
    "l2_norm": (lambda _, x: F.normalize(x.mean((2, 3))), "int16"),
    "prelu": (lambda m, x: m.prelu(x.mean((2, 3))), "int16"),
    "length": (lambda _, x: x.norm(dim=(2, 3)), "int32"),
    "conv_transpose": (lambda m, x: m.conv_transpose(x), "int32"),
    "conv3d": (lambda m, x: m.conv3d_flat(x.unsqueeze(1)), "int32"),
    "log_softmax": (lambda _, x: x.mean((2, 3)).log_softmax(-1), "int32"),
    "mean": (lambda _, x: x.mean((2, 3)), "int32"),
    "product": (lambda _, x: x.mean((2, 3)) * x.amax((2, 3)), "int32"),
    "sum": (lambda _, x: x.mean((2, 3)) + x.amax((2, 3)), "int32"),
    "quotient": (lambda _, x: x.mean((2, 3)) / (x.amax((2, 3)).abs() + 1), "int32"),
    "linear_attention": (linear_attention, "int32"),
    "attention": (lambda _, x: x.softmax(-1) @ x, "int32"),
    "sum_of_products": (lambda _, x: x @ x.mT + x.mT @ x, "int32"),
    "other_scale": (lambda _, x: torch.maximum(x, x.new_zeros(1) + 1e-9), "int32"),
    "flattened": (lambda m, x: F.conv2d(x, m.conv1d.weight[..., None], groups=2), "int32"),
}


@torch.no_grad()
@pytest.mark.parametrize("name", ENDS)
def test_logits_are_rounded_finely(name):
    function, dtype = ENDS[name]
    torch.manual_seed(0)
    model = Model(function)
    model.head = torch.nn.Identity()
    quantized, graph = integer_model(model)
    codes = graph.tensors[graph.output].codes
    values = simulate(graph, BYTES[8:])[graph.output]
    found, simulated = (values - codes.zero_point) * codes.scale, quantized(normalised(BYTES[8:]))
    assert (found - simulated).norm() <= 0.1 * simulated.norm()
    assert codes.dtype == dtype
    assert codes.scale <= float(found.abs().max()) / 1000


@torch.no_grad()
def test_a_channel_without_weights_keeps_its_bias():
    torch.manual_seed(0)
    model = Model(lambda _, x: x.mean((2, 3)))
    model.head.weight[2] = 1e-30
    model.head.bias[2] = 3.0
    _, graph = integer_model(model)
    output = graph.tensors[graph.output].codes
    found = simulate(graph, BYTES[8:])[graph.output] * output.scale
    assert abs(float(found[0, 2]) - 3) < 1e-4
    bias = graph.nodes[-1].constants["bias"].tolist()
    assert bias[2] == 2**30
    assert max(bias[:2] + bias[3:]) < 2**20
