"""Integer models against the simulated quantization that they come from."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from integer_cases import BYTES, MEAN, RECIPE, STD, Model, integer_model, logits, normalised
from torch import fx, nn

import hybridquant
from hybridquant.capture.blocks import WEIGHTED_KINDS
from hybridquant.capture.graph import weight_of
from hybridquant.capture.vocabulary import KINDS, LAYOUT_KINDS
from hybridquant.lower import LoweringError, lower, simulate
from hybridquant.lower.lowering import LOWERINGS
from hybridquant.recipe import Rule, load_recipe


def attention(_, x):
    tokens = x.flatten(2).mT
    return (tokens @ tokens.mT * 0.3).softmax(-1) @ tokens


def masked_attention(_, x):
    tokens = x.flatten(2).mT
    keep = torch.ones(64, 64, dtype=torch.bool).tril()
    return F.scaled_dot_product_attention(tokens, tokens, tokens, keep)


FUNCTIONS = {
    "masked_attention": masked_attention,
    "conv": lambda _, x: x,
    "tokens": lambda m, x: m.norm(x.flatten(2).mT),
    "group_norm": lambda m, x: m.group_norm(x),
    "attention": attention,
    "residual": lambda _, x: x + F.silu(x),
    "difference": lambda _, x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False) - x,
    "constant": lambda _, x: (x + 1.5) * 0.25 - 2,
    "product": lambda _, x: x * x.sigmoid(),
    "quotient": lambda _, x: x / (x.abs() + 1),
    "relu": lambda _, x: x.relu(),
    "gelu": lambda _, x: F.gelu(x),
    "hardswish": lambda _, x: F.hardswish(x),
    "clamp": lambda _, x: x.clamp(-1, 0.5),
    "mean": lambda _, x: x.mean((2, 3)),
    "sum": lambda _, x: x.sum(1, keepdim=True),
    "average": lambda _, x: F.avg_pool2d(x, 2),
    "maximum": lambda _, x: F.max_pool2d(x, 3, 2, 1),
    "up": lambda _, x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "up_odd": lambda _, x: F.interpolate(x, size=(11, 5), mode="bilinear"),
    "corners": lambda _, x: F.interpolate(x, size=13, mode="bilinear", align_corners=True),
    "pad": lambda _, x: F.pad(x, (1, 2, 0, 1), value=0.7),
    "cat": lambda _, x: torch.cat([x, x.sigmoid(), 3 * x], 1),
    "chunk": lambda _, x: torch.stack(x.chunk(2, 1)[::-1], 1),
    "roll": lambda _, x: x.roll((1, 2), (2, 3)),
}


def real_values(quantized, node, inputs):
    """Return what an operator gives in float64 for the values its integer inputs stand for."""
    remaining = iter(inputs)

    def value(argument):
        if isinstance(argument, list):
            return [value(item) for item in argument]
        if not isinstance(argument, fx.Node):
            return argument
        if argument.op == "get_attr":
            return weight_of(quantized, argument).double()
        if is_weighted and argument.op == "call_module" and argument.args[0].op == "get_attr":
            weight = weight_of(quantized, argument.args[0])
            return quantized.get_submodule(argument.target)(weight).double()
        return next(remaining)

    is_weighted = node.meta["kind"] in WEIGHTED_KINDS

    return node.target(*(value(argument) for argument in node.args), **node.kwargs)


@torch.no_grad()
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_node_gives_the_nearest_code(name):
    torch.manual_seed(0)
    quantized, graph = integer_model(Model(FUNCTIONS[name]))
    values = simulate(graph, BYTES[8:])
    operators = {node.name: node for node in quantized.graph.nodes if node.op == "call_function"}
    compared = 0
    for node in graph.nodes:
        if node.output not in operators or node.op in ("cat", "pad", "requantize"):
            continue
        if "tap_offset" in node.constants:  # the image's bytes, see test_image.py
            continue
        if graph.tensors[node.output].shape[1:] != operators[node.output].meta["shape"][1:]:
            continue  # a part of a product, see test_narrow.py
        codes = graph.tensors[node.output].codes
        inputs = [graph.tensors[name].codes for name in node.inputs]
        pairs = zip(node.inputs, inputs, strict=True)
        dequantized = [(values[n] - c.zero_point).double() * c.scale for n, c in pairs]
        exact = real_values(quantized, operators[node.output], dequantized)
        steps = (exact / codes.scale + codes.zero_point).clamp(codes.lowest, codes.highest)
        # Weights of 11 bits let a resized code of 8 bits be off by up to an eighth more; logits
        # keep the step of their sums, and the bias is rounded to it.
        more = 0.13 if node.op == "resize_bilinear" else 0.5 if codes.dtype == "int32" else 2**-6
        assert (values[node.output] - steps).abs().max() <= 0.5 + more, node
        compared += 1
    assert compared >= 1


@torch.no_grad()
@pytest.mark.parametrize("name", FUNCTIONS)
def test_integers_follow_the_simulated_quantization(name):
    torch.manual_seed(0)
    model = Model(FUNCTIONS[name])
    quantized, graph = integer_model(model)
    simulated, exact = quantized(normalised(BYTES)), model(normalised(BYTES))
    found = torch.cat([logits(graph, image[None]) for image in BYTES])
    # A code that falls the other way moves the logits by as much as quantization does.
    assert (found - simulated).norm() <= 1.5 * (simulated - exact).norm()


def test_a_convolution_by_hand():
    model = nn.Sequential(nn.ReLU(), nn.Conv2d(3, 1, 1), nn.Flatten(), nn.Linear(1, 1))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([1.0, 0.5, -1.0]).reshape(1, 3, 1, 1))
        model[1].bias.fill_(0.25)
        model[3].weight.fill_(2.0)
        model[3].bias.zero_()
    quantized = hybridquant.quantize(model.eval(), normalised(BYTES[:8, :, :1, :1]), RECIPE)
    graph = lower(quantized, MEAN, STD)
    ops = ["channel_table", "table", "conv2d", "reshape", "linear"]
    assert [node.op for node in graph.nodes] == ops
    values = simulate(graph, BYTES[8:, :, :1, :1])
    relu, conv = graph.nodes[1], graph.nodes[2]
    x, y = graph.tensors[relu.output].codes, graph.tensors[conv.output].codes
    codes = values[relu.output].flatten().tolist()
    sums = sum(
        (q - x.zero_point) * int(w)
        for q, w in zip(codes, conv.constants["weight"].flatten(), strict=True)
    ) + int(conv.constants["bias"])
    m, shift = int(conv.constants["m"]), int(conv.constants["shift"])
    expected = ((sums * m + 2 ** (shift - 1)) >> shift) + y.zero_point
    assert values[conv.output].item() == min(max(expected, 0), 255)


def test_the_bytes_of_an_image_go_through_a_table_a_channel():
    quantized = hybridquant.quantize(
        nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(768, 2)).eval(),
        normalised(BYTES[:8]),
        RECIPE,
    )
    graph = lower(quantized, MEAN, STD)
    values = simulate(graph, BYTES[8:])
    codes = graph.tensors[graph.nodes[0].output].codes
    assert graph.nodes[0].op == "channel_table"
    exact = normalised(BYTES[8:]).double() / codes.scale + codes.zero_point
    steps = exact.clamp(codes.lowest, codes.highest)
    assert (values[graph.nodes[0].output] - steps).abs().max() <= 0.5 + 1e-4


def test_every_tensor_holds_what_its_codes_say():
    _, graph = integer_model(Model(attention))
    values = simulate(graph, BYTES[8:])
    assert set(values) == set(graph.tensors)
    for name, value in values.items():
        tensor = graph.tensors[name]
        assert tuple(value.shape) == tensor.shape
        assert tensor.codes.lowest <= value.min()
        assert value.max() <= tensor.codes.highest


PARTIAL = """
name: mine
description: mine
rules:
  - operators: [conv2d, linear]
    operand: {operand}
    scheme: symmetric
    granularity: {granularity}
passes: [observe]
"""


@pytest.mark.parametrize(
    ("operand", "granularity", "problems"),
    [
        ("all", "tensor", {"silu silu": "input 0 has no fake-quant module"}),
        ("activation", "tensor", {"linear": "its weight has no fake-quant module"}),
        ("all", "channel", {"linear": "adds up over channels of several scales"}),
    ],
)
def test_what_is_float_is_named(tmp_path, operand, granularity, problems):
    (tmp_path / "mine.yaml").write_text(PARTIAL.format(operand=operand, granularity=granularity))
    with pytest.raises(LoweringError, match="every operator must become integer") as caught:
        integer_model(Model(lambda _, x: F.silu(x)), tmp_path / "mine.yaml")
    for operator, reason in problems.items():
        assert any(operator in p and reason in p for p in caught.value.problems), caught.value


def test_all_operators_without_an_integer_form_are_named(monkeypatch):
    forms = {name: LOWERINGS[name] for name in LOWERINGS.names() if name not in ("silu", "erf")}
    monkeypatch.setattr(LOWERINGS, "_items", forms)
    with pytest.raises(LoweringError, match="got 2 operators that cannot") as caught:
        integer_model(Model(lambda _, x: F.silu(x.erf())))
    assert "erf erf in the model's own forward has no integer form" in caught.value.problems[0]
    assert "silu" in caught.value.problems[1]


@pytest.mark.parametrize(
    ("outputs", "name"), [(lambda x: (x, x), "tuple"), (lambda x: {"logits": x}, "dict")]
)
def test_the_output_must_be_one_tensor(outputs, name):
    class Several(Model):
        def forward(self, images):
            return outputs(super().forward(images))

    with pytest.raises(LoweringError, match=f"must be one tensor, got a {name}; wrap the model"):
        integer_model(Several(lambda _, x: x))


def test_what_is_not_a_number_is_refused():
    recipe = load_recipe(RECIPE)
    signed = replace(recipe, rules=(*recipe.rules, Rule(("sqrt",), scheme="symmetric")))
    with pytest.raises(LoweringError, match=r"sqrt .* is not a number at code -\d+ of its input"):
        integer_model(Model(lambda _, x: x.abs().sqrt()), signed)


def test_what_is_infinite_is_the_largest_or_smallest_code():
    _, graph = integer_model(Model(lambda _, x: (x.abs() + 1).reciprocal() - (x.abs() + 1).log()))
    inverse, logarithm = (n for n in graph.nodes if n.path == "" and n.output in ("pow_1", "log"))
    assert inverse.constants["table"][0] == 255
    assert logarithm.constants["table"][0] == 0


def test_every_operator_of_the_vocabulary_has_an_integer_form():
    assert set(LOWERINGS.names()) >= KINDS - LAYOUT_KINDS


def test_deep_models_need_no_deep_recursion():
    def function(_, x):
        for _ in range(300):
            x = x.relu()
        return x

    _, graph = integer_model(Model(function))
    assert sum(node.op == "table" for node in graph.nodes) == 300
    recipe = load_recipe(RECIPE)
    head = replace(recipe, rules=(Rule(("linear",), scheme="symmetric"),))
    with pytest.raises(LoweringError, match="got 301 operators that cannot"):
        integer_model(Model(function), head)


def test_images_are_checked():
    _, graph = integer_model(Model(FUNCTIONS["conv"]))
    with pytest.raises(TypeError, match=r"image must be uint8, got torch\.float32"):
        simulate(graph, normalised(BYTES[:1]))
    with pytest.raises(ValueError, match=r"must have shape \[1, 3, 16, 16\], got \[2, 3, 16, 16\]"):
        simulate(graph, BYTES[:2])


def test_rows_that_are_too_long_are_named():
    functions = {
        "fewer than 2^20 codes": lambda _, x: F.layer_norm(x.repeat(1, 1, 64, 64), (8, 512, 512)),
        "rows below 2^16": lambda _, x: x.repeat(1, 1, 32, 32).flatten(1).softmax(-1)[:, :8],
    }
    for reason, function in functions.items():
        with pytest.raises(LoweringError) as caught:
            integer_model(Model(function, channels=8))
        assert reason in caught.value.problems[0]


@pytest.mark.parametrize(("value", "got"), [(float("nan"), "NaN"), (float("inf"), "an infinity")])
@pytest.mark.parametrize("name", ["stem.weight", "head.weight", "head.bias", "norm.weight"])
def test_parameters_that_are_not_finite(name, value, got):
    quantized, _ = integer_model(Model(FUNCTIONS["tokens"]))
    with torch.no_grad():
        dict(quantized.named_parameters())[name].view(-1)[0] = value
    with pytest.raises(ValueError, match=f"finite parameters, got {got} in '{name}'"):
        lower(quantized, MEAN, STD)


def test_graphs_of_another_kind():
    quantized, _ = integer_model(Model(FUNCTIONS["conv"]))
    with pytest.raises(ValueError, match=r"float32 parameters, got torch.float16 in 'stem.weight'"):
        lower(quantized.half(), MEAN, STD)
    with pytest.raises(TypeError, match="must be a QuantGraph, as quantize returns it, got Linear"):
        lower(nn.Linear(1, 1), MEAN, STD)
