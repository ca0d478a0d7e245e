"""Operators that stay in float inside an integer model."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from engine_cases import CONFIG, NOISE, PHOTOGRAPHS, RECIPE, photographs
from torch import nn

import hybridquant as hq
from hybridquant import _C
from hybridquant.engine import describe_integer, describe_integer_json
from hybridquant.export import integer_model_bytes
from hybridquant.lower import Codes, IntGraph, IntNode, IntTensor, simulate
from hybridquant.lower.float_operators import FloatNames, region_of
from hybridquant.recipe import load_recipe, recipe_to_yaml

IMAGES = torch.cat([photographs()[:2], NOISE[:1]])


class Attention(nn.Module):
    """Softmax attention with a residual."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)

    def forward(self, x):
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        return x + (q @ k.mT * 0.25).softmax(-1) @ v


class Model(nn.Module):
    """A convolution, the attention, and a classifier."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 8, 8)
        self.attention = Attention()
        self.head = nn.Linear(8, 5)

    def forward(self, images):
        return self.head(F.gelu(self.attention(self.stem(images).flatten(2).mT)).mean(1))


@pytest.fixture(scope="module")
def graph():
    torch.manual_seed(0)
    return hq.quantize(Model().eval(), PHOTOGRAPHS, RECIPE)


def operators(model):
    return {node.output for node in model.graph.nodes if node.op == "external"}


KEPT = {
    "softmax": {"softmax"},
    "stem": {"conv2d"},
    "head": {"linear_1"},
    "attention.norm": {"layer_norm"},
    "gelu": {"gelu"},
}


@pytest.mark.parametrize("name", KEPT)
def test_one_operator(graph, name):
    model = hq.to_integer(graph, CONFIG, allow_float=[name])
    assert operators(model) == KEPT[name] == set(model.functions)
    assert model.num_float_nodes == 1
    for image in IMAGES.split(1):
        wanted, found = simulate(model.graph, image), model.trace(image)
        assert all(torch.equal(codes.long(), wanted[key]) for key, codes in found.items())
    # As near to the simulation as the model that has none in float.
    exact = hq.to_integer(graph, CONFIG)
    mean, std = (torch.tensor(v)[:, None, None] for v in (CONFIG.mean, CONFIG.std))
    wanted = graph((IMAGES / 255 - mean) / std)
    found, without = ((m(IMAGES) - wanted).abs().max() for m in (model, exact))
    assert found <= 2 * without + 1e-3


def test_a_module_keeps_all_its_operators(graph):
    model = hq.to_integer(graph, CONFIG, allow_float=["attention"])
    # Between the products, the scaling and the softmax nothing is quantized but softmax's input.
    kept = {name for f in model.functions.values() for name in f.operators}
    assert kept == {"layer_norm", "linear", "matmul", "mul", "softmax", "matmul_1", "add"}
    assert {node.op for node in model.graph.nodes if node.path.startswith("attention")} <= {
        "external",
        "reshape",
        "slice",
        "permute",
    }
    assert {node.op for node in model.graph.nodes if not node.path.startswith("attention")} >= {
        "conv2d",
        "linear",
    }
    plain = describe_integer_json(model)
    assert plain["float_nodes"] == model.num_float_nodes == len(operators(model))
    text = describe_integer(model)
    assert all(f"({name})" in text.partition("In float: ")[2] for name in operators(model))
    assert hq.verify(model, [IMAGES]).differing_codes == 0


@pytest.mark.parametrize("num_threads", [1, 2])
def test_threads_batches_copies_and_files_change_no_code(graph, num_threads, tmp_path):
    model = hq.to_integer(graph, CONFIG, allow_float=["attention.norm", "softmax"])
    wanted = torch.cat([model.codes(image) for image in IMAGES.split(1)])
    model.save(tmp_path / "model.safetensors")
    loaded = hq.IntegerModel.load(tmp_path / "model.safetensors", num_threads, model.functions)
    for other in (model, loaded, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other.codes(IMAGES), wanted)


def test_the_graph_may_change_afterwards(graph):
    changed = copy.deepcopy(graph)
    model = hq.to_integer(changed, CONFIG, allow_float=["stem"])
    before = model.codes(IMAGES)
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.zero_()
    assert torch.equal(model.codes(IMAGES), before)


def test_who_has_no_functions_refuses_the_file(graph, tmp_path):
    model = hq.to_integer(graph, CONFIG, allow_float=["softmax"])
    model.save(tmp_path / "model.safetensors")
    text = r"external, module 'attention'\): computes in float, by a function 'softmax' of the"
    with pytest.raises(ValueError, match=text):
        hq.IntegerModel.load(tmp_path / "model.safetensors")
    refusal = "to_module: no operator must stay in float, got softmax"
    with pytest.raises(ValueError, match=refusal):
        model.to_module()
    with pytest.raises(ValueError, match=refusal):
        model.save_torchscript(tmp_path / "model.pt")
    assert not (tmp_path / "model.pt").exists()


@pytest.mark.parametrize(
    ("result", "error", "text"),
    [
        (lambda q: q[0][:, :3], ValueError, r"function 'gelu' must return uint8 \[1, 36, 8\], got"),
        (lambda q: q[0].short(), ValueError, "function 'gelu' must return uint8"),
        (lambda q: 1 // 0, ZeroDivisionError, "by zero"),
        (lambda q: None, TypeError, "function 'gelu' must return a tensor, got NoneType"),
    ],
)
def test_what_a_function_does_wrong(graph, result, error, text):
    model = hq.to_integer(graph, CONFIG, allow_float=["gelu"])
    wrong = hq.IntegerModel.from_bytes(model.to_bytes(), 2, {"gelu": result})
    with pytest.raises(error, match=text):
        wrong.codes(IMAGES)
    # The session goes on.
    with pytest.raises(error, match=text):
        wrong.codes(IMAGES)


def test_threads_that_run_and_trace_wait_for_each_other(graph):
    model = hq.to_integer(graph, CONFIG, allow_float=["softmax"])
    wanted = model.codes(IMAGES[:1])
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(model.codes, IMAGES[:1]) for _ in range(50)]
        traces = [pool.submit(model.trace, IMAGES[:1]) for _ in range(50)]
        # Threads that wait for each other for ever never get here.
        assert all(torch.equal(run.result(timeout=60), wanted) for run in runs)
        assert all(len(trace.result(timeout=60)) == model.num_nodes for trace in traces)


def test_a_function_must_not_run_its_own_model(graph):
    file = hq.to_integer(graph, CONFIG, allow_float=["gelu"]).to_bytes()
    model = hq.IntegerModel(file, functions={"gelu": lambda _: model.codes(IMAGES[:1])})
    with pytest.raises(ValueError, match="must not run the session that calls it"):
        model.codes(IMAGES[:1])


def test_a_product_by_name_where_a_number_follows(graph):
    model = hq.to_integer(graph, CONFIG, allow_float=["matmul"])
    assert operators(model) == {"matmul"}


def test_logits_of_an_unquantized_head(tmp_path):
    recipe = tmp_path / "head.yaml"
    rule = "- {operators: linear, modules: head, operand: weight, skip: true}\npasses:"
    recipe.write_text(recipe_to_yaml(load_recipe(RECIPE)).replace("passes:", rule))
    torch.manual_seed(0)
    quantized = hq.quantize(Model().eval(), PHOTOGRAPHS, recipe)
    model = hq.to_integer(quantized, CONFIG, allow_float=["head"])
    mean, std = (torch.tensor(v)[:, None, None] for v in (CONFIG.mean, CONFIG.std))
    wanted = quantized((IMAGES / 255 - mean) / std)
    assert (model(IMAGES) - wanted).abs().max() < 0.05 * wanted.abs().max()


def test_a_long_region_is_visited_once():
    class Long(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(48, 5)

        def forward(self, images):
            x = images.mean((1, 2))
            for _ in range(40):
                x = x + x.tanh()
            return self.head(x)

    quantized = hq.quantize(Long().eval(), PHOTOGRAPHS, "baseline/w8a8-minmax")
    node = next(n for n in quantized.graph.nodes if n.name == "add_39")
    names = FloatNames(
        [n.name for n in quantized.graph.nodes if n.name[:3] in ("add", "tan")], quantized
    )
    region = region_of(node, names)
    assert len(region.nodes) == len(set(region.nodes)) == 80


def test_codes_beyond_the_range_are_clamped():
    tensors = {
        "image": ("uint8", 0, 0, 255),
        "half": ("int16", 3, 5, 7),
        "logits": ("int16", -50, 0, 50),
    }
    model = hq.IntegerModel.from_bytes(
        two_externals(tensors),
        functions={
            "low": lambda x: torch.full((1, 3, 2, 2), -300, dtype=torch.int16),
            "sum": lambda x: x[0].sum((2, 3)).short(),
        },
    )
    image = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    assert model.trace(image)["half"].unique().tolist() == [3]
    assert model.codes(image).tolist() == [[12, 12, 12]]


def two_externals(tensors):
    """Return the file of a graph of two functions."""
    shapes = {"image": (1, 3, 2, 2), "half": (1, 3, 2, 2), "logits": (1, 3)}
    made = {
        name: IntTensor(name, shapes[name], Codes(dtype, 1 / 255, zero, low, high))
        for name, (dtype, low, zero, high) in tensors.items()
    }
    nodes = [
        IntNode("external", ("image",), "half", "", {"function": "low"}),
        IntNode("external", ("half",), "logits", "", {"function": "sum"}),
    ]
    graph = IntGraph(made, nodes, "image", "logits")
    return integer_model_bytes(graph, hq.DataConfig((3, 2, 2)))


@pytest.mark.parametrize(
    ("names", "error", "text"),
    [
        (["stems"], ValueError, "'stems', which is neither"),
        ([""], ValueError, "'', which is neither"),
        (["image"], ValueError, "'image', which is neither"),
        ("softmax", TypeError, "be a list of names, got 'softmax'"),
        ([3], TypeError, "be a list of names"),
        (iter(["softmax"]), TypeError, "be a list of names"),
        (None, TypeError, "be a list of names, got None"),
    ],
)
def test_names_that_name_nothing(graph, names, error, text):
    with pytest.raises(error, match=f"allow_float must .*{text}"):
        hq.to_integer(graph, CONFIG, allow_float=names)


@pytest.mark.parametrize("functions", [[], {"gelu": 3}])
def test_functions_of_another_kind(graph, functions):
    file = hq.to_integer(graph, CONFIG).to_bytes()
    with pytest.raises(TypeError, match="functions must be a mapping of names to functions, got"):
        hq.IntegerModel(file, functions=functions)


def test_arrays_are_numpys_own(graph):
    model = hq.to_integer(graph, CONFIG, allow_float=["gelu"])
    seen = []

    def function(arrays):
        seen.extend(arrays)
        return np.zeros((1, 36, 8), np.uint8)

    session = _C.Session(_C.Model.parse(model.to_bytes(), {"gelu": function}))
    session.run(IMAGES[:1].numpy())
    assert [(x.dtype, x.shape) for x in seen] == [(np.uint8, (1, 36, 8))]
