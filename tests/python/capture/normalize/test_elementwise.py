"""Arithmetic and activations."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hybridquant.capture import UnsupportedOperatorError

CASES = [
    ("add with factor", lambda x: torch.add(x, x, alpha=2), ["mul", "add"]),
    ("in place", lambda x: x.clone().mul_(2).add_(1), ["mul", "add"]),
    ("add nothing", lambda x: x + 0, []),
    ("take a number away", lambda x: x - 2, ["add"]),
    ("take from a number", lambda x: 1 - x, ["neg", "add"]),
    ("tensors", lambda x: x - x.mean(1, True), ["mean", "sub"]),
    ("number first", lambda x: 3 * x, ["mul"]),
    ("divide by a number", lambda x: x / 4, ["mul"]),
    ("divide a number", lambda x: 2 / (x * x + 1), ["mul", "add", "pow", "mul"]),
    ("divide", lambda x: x / (x * x + 1), ["mul", "add", "div"]),
    ("square", lambda x: x.square() + x**2, ["mul", "mul", "add"]),
    ("cube", lambda x: x**3, ["mul", "mul"]),
    ("root", lambda x: (x * x) ** 0.5, ["mul", "sqrt"]),
    ("a power", lambda x: (x * x + 1) ** 1.5, ["mul", "add", "pow"]),
    ("a number's power", lambda x: 3.0**x, ["mul", "exp"]),
    ("power of 2", torch.exp2, ["mul", "exp"]),
    ("expm1", torch.expm1, ["exp", "add"]),
    ("log1p", lambda x: torch.log1p(x * x), ["mul", "add", "log"]),
    ("log2", lambda x: torch.log2(x * x + 1), ["mul", "add", "log", "mul"]),
    ("log10", lambda x: torch.log10(x * x + 1), ["mul", "add", "log", "mul"]),
    ("addcmul", lambda x: torch.addcmul(x, x, x, value=0.5), ["mul", "mul", "add"]),
    ("lerp", lambda x: torch.lerp(x, x * x, 0.25), ["mul", "sub", "mul", "add"]),
    ("maximum", lambda x: torch.maximum(x, -x), ["neg", "maximum"]),
    ("relu", F.relu, ["relu"]),
    ("relu by clamp", lambda x: x.clamp(min=0), ["relu"]),
    ("relu6", F.relu6, ["clamp"]),
    ("clamp", lambda x: x.clamp(-1, 0.5), ["clamp"]),
    ("clamp by tensor", lambda x: x.clamp(torch.zeros(8), torch.ones(())), ["maximum", "clamp"]),
    ("clamp by the other", lambda x: x.clamp_max(torch.arange(8.0)), ["minimum"]),
    ("silu", F.silu, ["silu"]),
    ("silu spelled out", lambda x: x * x.sigmoid(), ["silu"]),
    ("hardswish", F.hardswish, ["hardswish"]),
    ("hardswish by hardsigmoid", lambda x: x * F.hardsigmoid(x), ["hardswish"]),
    ("hardswish spelled out", lambda x: x * (F.relu6(x + 3) / 6), ["hardswish"]),
    ("gelu", F.gelu, ["gelu"]),
    ("gelu by tanh", lambda x: F.gelu(x, approximate="tanh"), ["gelu"]),
    ("mish", F.mish, ["softplus", "tanh", "mul"]),
    ("leaky relu", lambda x: F.leaky_relu(x, 0.2), ["leaky_relu"]),
    ("elu", F.elu, ["elu"]),
    ("selu", F.selu, ["elu"]),
    ("celu", lambda x: F.celu(x, 0.5), ["elu"]),
    ("glu", lambda x: F.glu(x, -1), ["slice", "sigmoid", "slice", "mul"]),
    ("logsigmoid", F.logsigmoid, ["neg", "softplus", "neg"]),
    ("softmax", lambda x: x.softmax(1), ["softmax"]),
    ("log softmax", lambda x: x.log_softmax(-1), ["log_softmax"]),
    ("prelu", nn.PReLU(3), ["prelu"]),
    ("dropout", nn.Dropout(0.5), []),
]


@pytest.mark.parametrize(
    ("function", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_elementwise(check, function, expected):
    assert sorted(check(function).kinds) == sorted(expected)


def test_softmax_counts_its_axis_from_the_back(check):
    node = next(
        n for n in check(lambda x: x.softmax(1)).graph.graph.nodes if n.meta["kind"] == "softmax"
    )
    assert node.args[1] == -3


def test_autocast_regions_are_inlined(check):
    def function(x):
        with torch.autocast("cpu", enabled=False):
            return x @ x

    assert check(function).kinds == ["matmul"]


def test_generalised_mean_pooling(check):
    def pool(x, p):
        return x.clamp(min=1e-6).pow(p).mean((2, 3)).pow(1.0 / p)

    assert check(pool, torch.tensor([3.5])).kinds == ["clamp", "pow", "mean", "pow"]


REFUSED = [
    ("exponent of data", lambda x: (x * x + 1) ** x, "exponent of data"),
    ("several exponents", lambda x: (x * x) ** torch.arange(8.0), "several exponents"),
    ("power of a negative number", lambda x: (-2.0) ** x, "base -2.0"),
]


@pytest.mark.parametrize(
    ("function", "text"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_refused(check, function, text):
    with pytest.raises(UnsupportedOperatorError, match=text):
        check(function)
