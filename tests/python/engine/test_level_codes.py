"""Quantizers with levels, in integers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import hybridquant as hq
from hybridquant.calibration import Calibration
from hybridquant.capture import capture
from hybridquant.engine import verify
from hybridquant.lower import LoweringError, lower
from hybridquant.passes import PASSES
from hybridquant.quant_graph import prepare
from hybridquant.quantizers import QUANTIZERS
from hybridquant.quantizers.level_fake_quant import LevelFakeQuant
from hybridquant.types import QuantSpec

SIZE = 16
CONFIG = hq.DataConfig((3, SIZE, SIZE), "bicubic", 1.0, "squash", (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
NOISE = torch.randint(
    0, 256, (10, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
)
TENSOR = QuantSpec(8)
FINE = QuantSpec(16)
WEIGHT = QuantSpec(8, "symmetric", "channel")


class Model(nn.Module):
    """A convolution, attention over tokens, and a classifier behind GELU."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 12, 3, 2, 1)
        self.qkv = nn.Linear(12, 36)
        self.up = nn.Linear(12, 24)
        self.down = nn.Linear(24, 12)
        self.depthwise = nn.Conv2d(12, 12, 3, 1, 1, groups=12)
        self.head = nn.Linear(12, 5)
        self.norm = nn.LayerNorm(12)
        with torch.no_grad():  # channels of very different sizes, which the norm brings together
            self.stem.weight.mul_(2.0 ** -(torch.arange(12) % 4).reshape(12, 1, 1, 1))

    def forward(self, images):
        x = self.stem(images)
        tokens = self.norm(x.flatten(2).mT)
        q, k, v = self.qkv(tokens).chunk(3, dim=-1)
        tokens = (q @ k.mT).softmax(-1) @ v
        tokens = self.down(F.gelu(self.up(tokens)))
        return self.head(self.depthwise(F.silu(tokens.mT.reshape(x.shape))).mean((2, 3)))


# By name: which edges, bits and options, and the type of the levels' codes.
ACTIVATIONS = {
    "log2": ("shares", 4, {}, "int16", True),
    "log2 strict": ("shares", 3, {"zero": "last", "rounding": "lis"}, "uint8", True),
    "log_sqrt2": ("shares", 4, {}, "int16", False),
    "adalog": ("shares", 4, {}, "int16", None),
    "adalog gelu": ("gelu", 4, {"shift": True}, "int16", False),
    "shift_uniform_log2": ("shares", 4, {}, "int16", None),
    "twin_softmax": ("shares", 8, {}, "int16", None),
    "twin_gelu": ("gelu", 8, {}, "int16", False),
    "apot": ("shares", 4, {}, "uint8", True),
    "pot": ("gelu", 4, {}, "int8", True),
}
WEIGHTS = {
    "pot": (4, {}),
    "apot": (4, {}),
    "apot 8": (8, {"int8": True}),
}


def edge_of(kind, edge):
    is_shares = edge.kind == "matmul" and edge.producer == "softmax"
    return is_shares if kind == "shares" else edge.kind == "linear" and edge.producer == "gelu"


def quantized(resolve_one):
    def resolve(edges):
        plain = [WEIGHT if edge.operand == "weight" else FINE for edge in edges]
        return [resolve_one(edge) or spec for edge, spec in zip(edges, plain, strict=True)]

    mean, std = (torch.tensor(v)[:, None, None] for v in (CONFIG.mean, CONFIG.std))
    images = (NOISE.float() / 255 - mean) / std
    graph = prepare(capture(Model().eval(), images), resolve)
    return PASSES["observe"](graph, Calibration(images)), images


def spec_of(name, bits, options, **others):
    name = name.split()[0]
    return QuantSpec(bits=bits, quantizer=name, quantizer_options=options, **others)


def checked(graph, images):
    """Return the integer model: equal to its simulator, and near the simulated quantization."""
    model = hq.to_integer(graph, CONFIG)
    found = verify(model, [NOISE])
    assert (found.differing_codes, found.first) == (0, None)
    assert all(run.differing_codes == 0 for run in found.runs)
    with torch.no_grad():
        expected = graph(images)
        with graph.fake_quant_off():
            exact = graph(images)
    got = model(NOISE)
    # 16-bit edges are a tenth of what the levels lose here, and no more than a thousandth in all.
    error = float((got - expected).norm())
    assert error <= 1e-3 * float(exact.norm())
    assert error <= 0.3 * float((expected - exact).norm())
    return model


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_with_levels(name):
    kind, bits, options, dtype, is_exact = ACTIVATIONS[name]
    scheme = "symmetric" if name == "pot" else "asymmetric"
    spec = spec_of(name, bits, options, scheme=scheme)
    graph, images = quantized(lambda edge: spec if edge_of(kind, edge) else None)
    checked(graph, images)
    made = lower(graph, CONFIG.mean, CONFIG.std)
    (node,) = [node for node in made.nodes if node.op == "levels"]
    codes = made.tensors[node.output].codes
    assert codes.dtype == dtype
    edge = next(edge for edge in graph.quant_edges if edge.spec.quantizer == spec.quantizer)
    module = graph.module_of(edge)
    levels = (node.constants["levels"].double() - codes.zero_point) * codes.scale
    expected = module.levels.double() * module.scale.double()
    worst = float((levels - expected).abs().max()) / codes.scale
    assert worst <= 0.501
    if is_exact is not None:
        assert (worst <= 2**-7) == is_exact


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_with_levels_are_exact(name):
    bits, options = WEIGHTS[name]
    spec = spec_of(name, bits, options, scheme="symmetric", granularity="channel")
    is_one = lambda edge: edge.operand == "weight" and edge.path != "stem"  # noqa: E731
    graph, images = quantized(lambda edge: spec if is_one(edge) else None)
    checked(graph, images)
    made = lower(graph, CONFIG.mean, CONFIG.std)
    for path in ("up", "depthwise", "head"):
        node = next(n for n in made.nodes if n.path == path and n.op in ("linear", "conv2d"))
        edge = next(e for e in graph.quant_edges if e.edge.path == path and e.spec is spec)
        module, weight = graph.module_of(edge), getattr(Model(), path).weight
        values = (module(weight) / module.scale.reshape(-1, *[1] * (weight.ndim - 1))).detach()
        codes = node.constants["weight"].double()
        step = float(values[values != 0].abs().min() / codes[codes != 0].abs().min())
        torch.testing.assert_close(codes * step, values.double())


def test_inputs_of_norms_with_powers_of_two_between_their_scales():
    spec = QuantSpec(quantizer="ptf", granularity="channel")
    graph, images = quantized(lambda edge: spec if edge.kind == "layer_norm" else None)
    edge = next(edge for edge in graph.quant_edges if edge.spec == spec)
    scale = graph.module_of(edge).scale
    assert len((scale / scale.min()).unique()) > 1
    checked(graph, images)


def message_of(resolve_one):
    graph, _ = quantized(resolve_one)
    with pytest.raises(LoweringError) as error:
        lower(graph, CONFIG.mean, CONFIG.std)
    return str(error.value)


def test_weights_of_more_bits_are_refused():
    spec = spec_of("pot", 8, {}, scheme="symmetric", granularity="channel")
    text = message_of(lambda edge: spec if edge.path == "up" and edge.operand == "weight" else None)
    assert "must have levels that are integers of 8 bits on one grid, got more than 30" in text
    assert "those of PotFakeQuant with bits: 8" in text


def test_a_first_convolution_with_levels_is_refused():
    spec = spec_of("pot", 4, {}, scheme="symmetric", granularity="channel")
    text = message_of(
        lambda edge: spec if edge.path == "stem" and edge.operand == "weight" else None
    )
    assert "use the quantizer affine for modules: '@first'" in text


def test_levels_with_a_scale_for_each_channel_are_refused():
    spec = QuantSpec(4, quantizer="log_sqrt2", granularity="channel")
    text = message_of(lambda edge: spec if edge_of("shares", edge) else None)
    assert "has levels with a scale for each channel; use granularity: tensor" in text


def test_every_quantizer_with_levels_is_lowered_here():
    tried = {name.split()[0] for name in (*ACTIVATIONS, *WEIGHTS)}
    names = {name for name in QUANTIZERS.names() if issubclass(QUANTIZERS[name], LevelFakeQuant)}
    assert tried == names
