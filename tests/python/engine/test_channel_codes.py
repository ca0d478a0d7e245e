"""Activations with a scale and zero-point for each channel, in integers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import hybridquant as hq
from hybridquant.calibration import Calibration
from hybridquant.capture import capture
from hybridquant.engine import verify
from hybridquant.lower import ChannelCodes, LoweringError, lower, simulate
from hybridquant.passes import PASSES
from hybridquant.quant_graph import prepare
from hybridquant.types import QuantSpec

SIZE = 17
CONFIG = hq.DataConfig((3, SIZE, SIZE), "bicubic", 1.0, "squash", (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
NOISE = torch.randint(
    0, 256, (11, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
)
TENSOR = QuantSpec(8)
CHANNEL = QuantSpec(8, granularity="channel")
WEIGHT = QuantSpec(8, "symmetric", "channel")


def normalised(images):
    mean, std = (torch.tensor(v)[:, None, None] for v in (CONFIG.mean, CONFIG.std))
    return (images.float() / 255 - mean) / std


class Model(nn.Module):
    """A convolution with channels of very different ranges, what is under test, a classifier."""

    def __init__(self, function, channels=11):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, channels, 3, 2, 1)
        self.depthwise = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels)
        self.strided = nn.Conv2d(channels, channels, (5, 3), 2, (2, 1), groups=channels)
        self.twofold = nn.Conv2d(channels, 2 * channels, 3, 1, 1, groups=channels)
        self.dilated = nn.Conv2d(channels, channels, 3, 1, 2, dilation=2, groups=channels)
        self.bare = nn.Conv2d(channels, channels, 2, 1, 0, groups=channels, bias=False)
        self.transposed = nn.ConvTranspose2d(channels, channels, 3, 2, 1, groups=channels)
        self.depthwise_1d = nn.Conv1d(channels, channels, 3, 1, 1, groups=channels)
        self.batch_norm = nn.BatchNorm2d(channels)
        self.norm = nn.LayerNorm(channels)
        self.group_norm = nn.GroupNorm(1, channels)
        self.rms_norm = nn.RMSNorm(channels)
        self.prelu = nn.PReLU(channels)
        self.mix = nn.Linear(channels, channels)
        self.function = function
        self.head = nn.LazyLinear(5)
        with torch.no_grad():
            self.forward(torch.zeros(2, 3, SIZE, SIZE))
            spread = torch.logspace(-2, 1, channels)
            self.stem.weight.mul_(spread[:, None, None, None])
            # Zero-points at both ends, and a channel that is always the same.
            self.stem.bias.copy_(torch.linspace(-4, 4, channels) * spread)
            self.stem.weight[3] = 0
            for module in (self.norm, self.group_norm, self.rms_norm, self.batch_norm):
                nn.init.normal_(module.weight)
            nn.init.normal_(self.prelu.weight)

    def forward(self, images):
        return self.head(self.function(self, self.stem(images)).flatten(1))


def quantized(function, chosen, spec=CHANNEL, weight=WEIGHT):
    """Return a calibrated QuantGraph; inputs of the kinds ``chosen`` have a scale a channel."""

    def resolve(edges):
        return [
            weight
            if edge.operand == "weight"
            else spec
            if edge.kind in chosen or edge.marks & set(chosen)
            else TENSOR
            for edge in edges
        ]

    images = normalised(NOISE[:8])
    graph = prepare(capture(Model(function).eval(), images), resolve)
    return PASSES["observe"](graph, Calibration(images))


def checked(graph):
    """Return the integer model, after a comparison with the simulator at every node."""
    model = hq.to_integer(graph, CONFIG)
    found = verify(model, [NOISE[8:]])
    assert (found.differing_codes, found.first) == (0, None)
    assert all(run.differing_codes == 0 for run in found.runs)
    return model


DEPTHWISE = {
    "conv": lambda m, x: m.depthwise(x),
    "table": lambda m, x: m.depthwise(F.silu(x)),
    "relu": lambda m, x: m.depthwise(x.relu()),
    "negative": lambda m, x: m.depthwise(-x.relu()),
    "sum": lambda m, x: m.depthwise(x + F.gelu(x)),
    "stride": lambda m, x: m.strided(x),
    "multiplier": lambda m, x: m.twofold(x),
    "dilation": lambda m, x: m.dilated(x),
    "no padding": lambda m, x: m.bare(x),
    "transposed": lambda m, x: m.transposed(x),
    "pad": lambda m, x: m.bare(F.pad(x, (1, 0, 1, 0))),
    "prelu": lambda m, x: m.depthwise(m.prelu(x)),
    "group_norm": lambda m, x: m.depthwise(m.group_norm(x)),
    "batch_norm": lambda m, x: m.depthwise(m.batch_norm(x.sigmoid())),
    "two in a row": lambda m, x: m.depthwise(m.dilated(x)),
    "tokens": lambda m, x: m.depthwise(m.mix(x.flatten(2).mT).mT.reshape(x.shape)),
    "normed tokens": lambda m, x: m.depthwise(m.norm(x.flatten(2).mT).mT.reshape(x.shape)),
    "slice": lambda m, x: m.depthwise(torch.cat([x, x.sin()], 1)[:, :11]),
    "flip": lambda m, x: m.depthwise(x.flip(2)),
    "1d": lambda m, x: m.depthwise_1d(x.flatten(2)),
}


# Integers may be as far from the simulated quantization as that is from float, see
# tests/contract/test_lowering_contract.py.
TIMES_FURTHER = 2.0


def is_as_simulated(graph, model):
    """Tell whether the logits of integers are about as those of the simulation."""
    images = normalised(NOISE[8:])
    with torch.no_grad():
        simulated = graph(images)
        with graph.fake_quant_off():
            exact = graph(images)
    return (model(NOISE[8:]) - simulated).norm() <= TIMES_FURTHER * (simulated - exact).norm()


def by_channel(model):
    """Return the nodes that write codes with a scale for each channel."""
    tensors = model.graph.tensors
    return [
        node for node in model.graph.nodes if isinstance(tensors[node.output].codes, ChannelCodes)
    ]


@pytest.mark.parametrize("name", DEPTHWISE)
def test_inputs_of_depthwise_convolutions(name):
    graph = quantized(DEPTHWISE[name], {"@depthwise", "conv_transpose2d"})
    model = checked(graph)
    assert by_channel(model)
    assert is_as_simulated(graph, model)


def test_codes_are_those_of_the_fake_quant_module():
    """Zero-points at both ends and in between, and a channel that is always the same."""
    graph = quantized(DEPTHWISE["conv"], {"@depthwise"})
    model = checked(graph)
    (node,) = by_channel(model)
    codes = model.graph.tensors[node.output].codes
    assert (min(codes.zero_points), max(codes.zero_points)) == (0, 255)
    assert 1 < len(set(codes.zero_points)) < len(codes.zero_points) + 1
    values = simulate(model.graph, NOISE[8:9])[node.output]
    stem = next(n for n in graph.graph.nodes if n.meta["kind"] == "conv2d")
    weight, image = graph.get_submodule(str(stem.args[1].target)), normalised(NOISE[8:9])
    stored = graph.get_parameter("stem.weight"), graph.get_parameter("stem.bias")
    exact = F.conv2d(image, weight(stored[0]), stored[1], 2, 1).double()
    distance = (exact - dequantized(codes, values)) / codes.steps[:, None, None]
    ends = (values == codes.lowest) | (values == codes.highest)
    # The stem reads bytes, whose weights are rounded on their own.
    assert distance[~ends].abs().max() < 3


def dequantized(codes, values):
    sizes = [-1 if i == codes.axis else 1 for i in range(values.ndim)]
    zero_points = torch.tensor(codes.zero_points).reshape(sizes)
    return (values - zero_points) * codes.steps.reshape(sizes)


NORMS = {
    "layer_norm": lambda m, x: m.norm(x.flatten(2).mT),
    "rms_norm": lambda m, x: m.rms_norm(x.flatten(2).mT),
    "group_norm": lambda m, x: m.group_norm(x),
    "group_norm of rows": lambda m, x: m.group_norm(x.flatten(2)),
    "l2_norm": lambda m, x: F.normalize(x.flatten(2), dim=1),
    "behind a linear layer": lambda m, x: m.norm(m.mix(x.flatten(2).mT)),
    "behind a table": lambda m, x: m.norm(F.gelu(x.flatten(2).mT)),
    "behind a norm": lambda m, x: m.rms_norm(m.norm(x.flatten(2).mT)),
    "behind a sum": lambda m, x: m.norm(x.flatten(2).mT + m.mix(x.flatten(2).mT)),
}


@pytest.mark.parametrize("name", NORMS)
def test_inputs_of_norms(name):
    kinds = {"layer_norm", "rms_norm", "group_norm", "vector_norm", "div"}
    graph = quantized(NORMS[name], kinds)
    model = checked(graph)
    assert by_channel(model)
    assert is_as_simulated(graph, model)


def powers_of_two(graph):
    """Give every activation with a scale a channel the nearest powers of two times the finest."""
    for edge in graph.quant_edges:
        module = graph.module_of(edge)
        if edge.edge.operand == "activation" and module.scale.numel() > 1:
            alpha = (module.scale / module.scale.max()).log2().round().clamp(min=-3)
            zero_point = torch.full_like(module.zero_point, 100.0)
            module.set_parameters(module.scale.max() * 2**alpha, zero_point)
    return graph


@pytest.mark.parametrize("name", ["layer_norm", "group_norm"])
def test_powers_of_two_are_read_without_a_rounding(name):
    model = checked(powers_of_two(quantized(NORMS[name], {name})))
    tensors, (first, *_) = model.graph.tensors, by_channel(model)
    norm = next(node for node in model.graph.nodes if node.op == name)
    before, lifted = tensors[first.output], tensors[norm.inputs[0]]
    assert len(set(before.codes.scales)) == 4
    assert lifted.codes == before.codes.common()
    assert lifted.codes.scale == min(before.codes.scales)
    values = simulate(model.graph, NOISE[8:9])
    exact = dequantized(before.codes, values[first.output])
    found = values[lifted.name].double().reshape(-1) * lifted.codes.scale
    if name == "layer_norm":
        exact = exact.flatten(2).mT
    assert torch.equal(found, exact.reshape(-1))


OTHERS = {
    "table": lambda m, x: F.silu(x),
    "rows": lambda m, x: F.silu(x.flatten(2).mT).mT,
    "number": lambda m, x: x.relu() * 0.3 + 1,
    "sum": lambda m, x: x + x.sigmoid(),
    "product": lambda m, x: x * x.sigmoid(),
    "quotient": lambda m, x: x / (x.sigmoid() + 1),
    "mean": lambda m, x: x.mean((2, 3)),
    "maximum": lambda m, x: x.amax(1),
    "cat": lambda m, x: torch.cat([x, x.sin()], 1),
    "pool": lambda m, x: F.avg_pool2d(x, 2) - F.max_pool2d(x, 2),
    "resize": lambda m, x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "softmax": lambda m, x: x.flatten(2).mT.softmax(-1),
    "prelu": lambda m, x: m.prelu(x),
    "two": lambda m, x: F.silu(F.gelu(x)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_inputs_of_other_operators(name):
    class Others:
        """All kinds but those that add up over channels."""

        def __contains__(self, kind):
            return kind not in ("conv2d", "linear")

        def __iter__(self):
            return iter(())

    graph = quantized(OTHERS[name], Others())
    model = checked(graph)
    assert by_channel(model)
    assert is_as_simulated(graph, model)


@pytest.mark.parametrize("bits", [4, 6, 16])
@pytest.mark.parametrize("name", ["conv", "table", "stride", "1d"])
def test_other_bits(name, bits):
    spec = QuantSpec(bits, granularity="channel")
    graph = quantized(DEPTHWISE[name], {"@depthwise"}, spec)
    assert is_as_simulated(graph, checked(graph))


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda m, x: m.mix(x.flatten(2).mT), "linear"),
        (lambda m, x: m.depthwise(x), "conv2d"),
    ],
)
def test_one_scale_and_several_zero_points_are_read_by_any_product(function, kind):
    """They add a number to each sum, and nothing else."""
    graph = quantized(function, {kind})
    for edge in graph.quant_edges:
        module = graph.module_of(edge)
        if edge.edge.operand == "activation" and edge.edge.kind == kind:
            channels = module.scale.numel()
            zero_points = torch.linspace(60, 190, channels).round()
            module.set_parameters(module.scale.max().repeat(channels), zero_points)
    model = checked(graph)
    assert is_as_simulated(graph, model)


@pytest.mark.parametrize(
    ("function", "kind", "problem"),
    [
        (lambda m, x: m.mix(x.flatten(2).mT), "linear", "linear"),
        (lambda m, x: m.stem(x[:, :3]), "conv2d", "conv2d"),
        (lambda m, x: x.flatten(2) @ x.flatten(2).mT, "matmul", "matmul"),
    ],
)
def test_no_sum_runs_over_channels_of_several_scales(function, kind, problem):
    graph = quantized(function, {kind})
    with pytest.raises(
        LoweringError, match=r"channels of several scales.* reparameterize"
    ) as found:
        lower(graph, CONFIG.mean, CONFIG.std)
    assert all(text.startswith((problem, "linear")) for text in found.value.problems)


HEADS = {
    "read": lambda m, x: (heads(x) @ heads(x).mT).softmax(-1) @ heads(x),
    "made": lambda m, x: heads(m.mix(x.flatten(2).mT).mT) @ heads(x.sigmoid()).mT,
}


def heads(x):
    """Return tokens of two heads of five channels."""
    return x.flatten(2)[:, :10].unflatten(1, (2, 5)).mT


@pytest.mark.parametrize("name", HEADS)
def test_a_scale_for_each_head(name):
    graph = quantized(HEADS[name], {"matmul"}, QuantSpec(8, granularity="head"))
    model = checked(graph)
    assert {tensor.codes.axis for tensor in tensors_by_channel(model)} >= {1}
    assert is_as_simulated(graph, model)


def tensors_by_channel(model):
    return [t for t in model.graph.tensors.values() if isinstance(t.codes, ChannelCodes)]


@pytest.mark.parametrize("bits", [4, 7])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_weights_with_zero_points(bits, granularity):
    weight = QuantSpec(bits, "asymmetric", granularity)
    graph = quantized(lambda m, x: m.transposed(m.depthwise(x)), (), weight=weight)
    model = checked(graph)
    assert is_as_simulated(graph, model)


def test_weights_of_8_bits_with_zero_points_that_fit():
    weight = QuantSpec(8, "asymmetric", "tensor")
    graph = quantized(lambda m, x: m.depthwise(x), (), weight=weight)
    modules = [graph.module_of(e) for e in graph.quant_edges if e.edge.operand == "weight"]
    for module in modules:
        module.set_parameters(module.scale * 3, torch.full_like(module.zero_point, 120.0))
    assert is_as_simulated(graph, checked(graph))
    for module in modules:
        module.set_parameters(module.scale / 3, torch.full_like(module.zero_point, 250.0))
    with pytest.raises(LoweringError, match=r"from 0 to 255, -\d+ to \d+ less their zero-points"):
        lower(graph, CONFIG.mean, CONFIG.std)


def test_inspection_shows_the_scales_of_channels():
    model = checked(quantized(DEPTHWISE["conv"], {"@depthwise"}))
    (row,) = [r for r in hq.engine.describe_integer_json(model)["nodes"] if r["channel_axis"]]
    assert len(row["scale"]) == len(row["zero_point"]) == 11
    assert "uint8 a channel" in hq.engine.describe_integer(model)
