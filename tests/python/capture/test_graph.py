"""FloatGraph: copies keep nodes, meta, weights and further attributes."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from hybridquant.capture import FloatGraph, capture

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))


def by_torch_save(graph):
    file = io.BytesIO()
    torch.save(graph, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES = [
    ("deepcopy", copy.deepcopy),
    ("pickle", lambda graph: pickle.loads(pickle.dumps(graph))),
    ("torch.save", by_torch_save),
    ("twice", lambda graph: copy.deepcopy(pickle.loads(pickle.dumps(graph)))),
]
each_copy = pytest.mark.parametrize("duplicate", [c[1] for c in COPIES], ids=[c[0] for c in COPIES])


@pytest.fixture(scope="module")
def graph():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.randn(1, 1, 8))
            self.conv = nn.Conv2d(3, 8, 2, stride=2)
            self.norm = nn.LayerNorm(8)

        def forward(self, x):
            tokens = self.conv(x).flatten(2).transpose(1, 2)
            tokens = torch.cat([self.token.expand(x.shape[0], -1, -1), tokens], 1)
            return torch.nn.functional.gelu(self.norm(tokens), approximate="tanh").split(4, -1)

    return capture(Model().eval(), IMAGES)


def rows(graph):
    return [(n.op, n.name, n.target, str(n.args), str(n.kwargs), n.meta) for n in graph.graph.nodes]


@each_copy
def test_copies_are_the_same(graph, duplicate):
    other = duplicate(graph)
    assert type(other).__mro__[1] is FloatGraph
    assert rows(other) == rows(graph)
    assert other.state_dict().keys() == graph.state_dict().keys()
    for got, expected in zip(other(IMAGES), graph(IMAGES), strict=True):
        assert torch.equal(got, expected)
    assert other.training == graph.training


@each_copy
def test_copies_are_independent(graph, duplicate):
    other = duplicate(graph)
    with torch.no_grad():
        other.conv.weight.zero_()
    next(iter(other.graph.nodes)).meta["kind"] = "changed"
    assert graph.conv.weight.any()
    assert next(iter(graph.graph.nodes)).meta["kind"] == "input"


class Marked(FloatGraph):
    """A subclass with a module among its nodes and an attribute of its own."""

    note: str = ""


@each_copy
def test_subclasses_modules_and_attributes_survive(graph, duplicate):
    marked = Marked(copy.deepcopy(graph), copy.deepcopy(graph.graph))
    marked.add_submodule("extra.limit", nn.Hardtanh())
    image = next(iter(marked.graph.nodes))
    with marked.graph.inserting_after(image):
        node = marked.graph.call_module("extra.limit", (image,))
    image.replace_all_uses_with(node, delete_user_cb=lambda user: user is not node)
    marked.recompile()
    marked.note = "kept"
    marked.train()
    other = duplicate(marked)
    assert isinstance(other, Marked)
    assert other.note == "kept"
    assert other.training
    assert torch.equal(other(IMAGES)[0], marked(IMAGES)[0])


def test_state_dict_round_trip(graph):
    other = copy.deepcopy(graph)
    for parameter in other.parameters():
        parameter.data.zero_()
    other.load_state_dict(graph.state_dict())
    assert torch.equal(other(IMAGES)[1], graph(IMAGES)[1])


def test_trace_and_export_again(graph):
    with torch.no_grad():
        traced = torch.jit.trace(graph, IMAGES)
    program = torch.export.export(
        graph, (IMAGES,), dynamic_shapes=({0: torch.export.Dim("batch")},), strict=False
    )
    for batch in (1, 3):
        x = torch.randn(batch, 3, 8, 8)
        expected = graph(x)
        for got in (traced(x), program.module()(x)):
            assert all(torch.equal(g, e) for g, e in zip(got, expected, strict=True))
