"""Edges behind a matrix product that the recipe leaves unquantized carry its exact sums."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from integer_cases import BYTES, RECIPE, Model, integer_model, logits, normalised

from hybridquant.lower import simulate
from hybridquant.recipe import Rule, load_recipe

EXACT = Rule(("matmul", "div", "mul", "add", "maximum"), operand="product", skip=True)


def recipe(*rules):
    base = load_recipe(RECIPE)
    return replace(base, rules=(*base.rules, *rules, EXACT))


def linear_attention(_, x):
    """As EfficientViT has it: the denominator is the last column of a product."""
    tokens = x.flatten(2).mT.relu()
    sums = tokens @ (tokens.mT @ F.pad(tokens, (0, 1), value=1.0))
    return sums[..., :-1] / (sums[..., -1:] + 1e-5)


def softmax_attention(_, x):
    tokens = x.flatten(2).mT
    return (tokens @ tokens.mT * 0.3 + tokens[:, :, :1]).softmax(-1) @ tokens


def gated(_, x):
    tokens = x.flatten(2).mT
    product = tokens @ (tokens.mT @ tokens)
    return torch.maximum(product * tokens, 0.125 * (product - 0.75))


def squared(_, x):
    tokens = x.flatten(2).mT
    product = tokens @ (tokens.mT @ tokens)
    return 0.5 * (0.25 * product * product.mT.mT).mT.mT


# function, operators that it must and must not become with 8 bits
FUNCTIONS = {
    "linear": (linear_attention, {"matmul_sums", "add_constant", "div"}, set()),
    "softmax": (softmax_attention, {"matmul_sums", "add", "matmul"}, {"table"}),
    "gated": (gated, {"matmul_sums", "add_constant", "mul", "maximum"}, {"table"}),
    "squared": (squared, {"matmul_sums", "matmul", "mul"}, set()),
}


@torch.no_grad()
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_sums_stay_exact(name, bits):
    function, made, not_made = FUNCTIONS[name]
    torch.manual_seed(0)
    model = Model(function)
    wide = Rule(("*",), operand="activation", bits=bits)
    quantized, graph = integer_model(model, recipe(wide))
    operators = {node.op for node in graph.nodes}
    assert bits != 8 or made <= operators
    assert not not_made & operators
    simulated, exact = quantized(normalised(BYTES)), model(normalised(BYTES))
    found = torch.cat([logits(graph, image[None]) for image in BYTES])
    # Weights of 8 bits are the larger part of the error where activations have 16.
    assert (found - simulated).norm() <= (1.5 if bits == 8 else 0.1) * (simulated - exact).norm()


@torch.no_grad()
def test_the_sums_of_a_quotient_are_those_of_python():
    torch.manual_seed(0)
    _, graph = integer_model(Model(linear_attention), recipe())
    values = simulate(graph, BYTES[8:])
    (node,) = (node for node in graph.nodes if node.op == "div")
    x, y = (values[name][0].tolist() for name in node.inputs)
    m, shift, codes = *(node.attributes[key] for key in ("m", "shift")), graph.tensors[node.output]
    found = values[node.output][0].tolist()
    low, high, zero_point = codes.codes.lowest, codes.codes.highest, codes.codes.zero_point
    for row, divisors, result in zip(x, y, found, strict=True):
        (b,) = divisors
        for a, got in zip(row, result, strict=True):
            quotient = (2 * a * m + b * 2**shift) // (b * 2 ** (shift + 1)) if b else 0
            assert got == min(max(zero_point + quotient, low), high)


@torch.no_grad()
def test_sums_may_be_the_logits():
    torch.manual_seed(0)

    def function(_, x):
        tokens = x.flatten(2)
        return (0.5 * (tokens @ tokens.mT))[:, 0]

    model = Model(function)
    model.head = torch.nn.Identity()
    quantized, graph = integer_model(model, recipe())
    assert [n.op for n in graph.nodes[-3:]] == ["matmul_sums", "slice", "reshape"]
    found = torch.cat([logits(graph, image[None]) for image in BYTES])
    simulated, exact = quantized(normalised(BYTES)), model(normalised(BYTES))
    assert (found - simulated).norm() <= 1.5 * (simulated - exact).norm()
