"""What capture gives back, and what it leaves alone."""

import copy
import io

import pytest
import torch
from torch import nn
from tqdm import tqdm

from hybridquant.capture import capture

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))


class Caching(nn.Module):
    """Keeps a tensor made in forward, as LeViT keeps its position biases."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.randn(8))
        self.cache = {}

    def forward(self, x):
        if "bias" not in self.cache:
            self.cache["bias"] = self.bias[torch.arange(8).flip(0)]
        return x + self.cache["bias"]


def small_model():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    model[1].running_var.uniform_(0.5, 2)
    model[1].running_mean.normal_()
    model[0].weight.requires_grad_(False)
    return model.eval()


def test_model_is_not_changed():
    model = small_model()
    before = copy.deepcopy(model.state_dict())
    capture(model, IMAGES)
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(model.state_dict()[key], before[key]) for key in before)
    assert not model.training


def test_graph_shares_no_memory():
    model = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8)).eval()
    graph = capture(model, IMAGES)
    ours = {p.data_ptr() for p in graph.parameters()}
    assert not ours & {p.data_ptr() for p in model.parameters()}


@pytest.mark.parametrize("is_warm", [False, True], ids=["fresh", "after a forward with gradients"])
def test_what_forward_keeps_stays_out_of_the_model(is_warm):
    model = Caching().eval()
    expected = model(IMAGES).detach() if is_warm else IMAGES + model.bias.detach().flip(0)
    kept = dict(model.cache)
    graph = capture(model, IMAGES)
    assert model.cache.keys() == kept.keys()
    assert all(model.cache[key] is kept[key] for key in kept)
    assert torch.allclose(graph(IMAGES), expected)


def test_attributes_may_refer_to_the_model():
    model = small_model()
    model.settings = {"model": model, "layers": [model]}
    model[0].parent = [model]
    torch.testing.assert_close(capture(model, IMAGES)(IMAGES), model(IMAGES))


def test_weights_keep_names_and_gradients():
    graph = capture(small_model(), IMAGES)
    parameters = dict(graph.named_parameters())
    assert set(parameters) == {"0.weight", "0.bias"}
    assert not parameters["0.weight"].requires_grad
    graph = capture(nn.Sequential(nn.Linear(8, 8), nn.ReLU()).eval(), IMAGES)
    assert all(p.requires_grad for p in graph.parameters())
    graph(IMAGES).sum().backward()
    assert all(p.grad is not None for p in graph.parameters())


def test_names_that_would_hide_the_graph_are_changed():
    model = nn.Sequential()
    for name in ("graph", "meta", "fake_quant", "forward_"):
        model.add_module(name, nn.Linear(8, 8, bias=False))
    graph = capture(model.eval(), IMAGES)
    assert torch.equal(graph(IMAGES), model(IMAGES))
    names = ("graph_", "meta_", "fake_quant_", "forward_")
    assert set(graph.state_dict()) == {f"{name}.weight" for name in names}


def test_every_node_has_plain_meta():
    graph = capture(small_model(), IMAGES)
    rows = [
        (n.name, n.meta["kind"], n.meta["path"], n.meta["shape"], n.meta["batch_factor"])
        for n in graph.graph.nodes
        if n.op != "get_attr"
    ]
    assert rows == [
        ("x", "input", "", (-1, 3, 8, 8), 1),
        ("conv2d", "conv2d", "0", (-1, 4, 6, 6), 1),
        ("relu", "relu", "2", (-1, 4, 6, 6), 1),
        ("output", "output", "", None, 0),
    ]
    keys = {"kind", "path", "shape", "batch_factor", "dtype", "block", "bridge"}
    assert all(set(n.meta) == keys for n in graph.graph.nodes)


STRUCTURES = [
    ("tuple", lambda x: (x, x + 1)),
    ("dict", lambda x: {"a": x, "b": [x * 2, (x,)]}),
    ("list", lambda x: [x.mean((2, 3))]),
]


@pytest.mark.parametrize("function", [c[1] for c in STRUCTURES], ids=[c[0] for c in STRUCTURES])
def test_output_structures(function):
    class Model(nn.Module):
        def forward(self, x):
            return function(x)

    expected, got = function(IMAGES), capture(Model().eval(), IMAGES)(IMAGES)
    torch.testing.assert_close(got, expected)
    assert type(got) is type(expected)


def test_stages_are_shown(monkeypatch):
    def at_once(items, **options):
        shown = {"disable": False, "delay": 0, "mininterval": 0, "file": terminal}
        return tqdm(items, **(options | shown))

    terminal = io.StringIO()
    monkeypatch.setattr("hybridquant.progress.tqdm", at_once)
    capture(small_model(), IMAGES)
    assert "capture:  50%" in terminal.getvalue()
    assert "4/4" in terminal.getvalue()


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_any_batch_of_examples(batch):
    model = small_model()
    graph = capture(model, torch.zeros(batch, 3, 8, 8))
    torch.testing.assert_close(graph(IMAGES), model(IMAGES))


def test_shared_module_is_captured_at_each_use():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)
            self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

        def forward(self, x):
            return self.second(self.conv(self.first(self.conv(x))))

    model = Twice().eval()
    for norm in (model.first, model.second):
        norm.running_var.uniform_(0.5, 2)
        norm.bias.data.normal_()
    graph = capture(model, IMAGES)
    torch.testing.assert_close(graph(IMAGES), model(IMAGES))
    paths = [n.meta["path"] for n in graph.graph.nodes if n.meta["kind"] == "conv2d"]
    assert paths == ["conv", "conv"]
