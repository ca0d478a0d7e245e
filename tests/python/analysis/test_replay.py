"""Replays against graphs that are quantized the same way from the start."""

from dataclasses import replace

import pytest
import torch
from analysis_cases import recipe_of

from hybridquant.analysis.operators import operators_of
from hybridquant.analysis.replay import Replay
from hybridquant.capture import capture
from hybridquant.pipeline import quantize
from hybridquant.quant_graph import prepare


@pytest.fixture
def graph(tiny_model, images):
    return quantize(tiny_model, images, recipe_of())


def quantized_only(graph, model, images, names):
    """Return a graph of its own in which only the operators ``names`` have fake-quant modules."""
    specs = {(e.edge.node, e.edge.position): e for e in graph.quant_edges if e.edge.node in names}

    def resolve(edges):
        found = [specs.get((edge.node, edge.position)) for edge in edges]
        return [edge and replace(edge.spec) for edge in found]

    other = prepare(capture(model, images), resolve)
    for edge in other.quant_edges:
        source = graph.module_of(specs[edge.edge.node, edge.edge.position])
        other.module_of(edge).set_parameters(source.scale, source.zero_point)
    return other


def test_operators_are_those_with_a_quantized_input(graph):
    assert Replay(graph).operators == tuple(op.node for op in operators_of(graph))


@torch.no_grad()
def test_everything_either_way_is_the_graph_itself(graph, images):
    replay = Replay(graph)
    assert replay.run(images, replay.operators).equal(graph(images))
    with graph.fake_quant_off():
        assert replay.run(images, ()).equal(graph(images))


@torch.no_grad()
def test_flips_equal_full_runs_bit_for_bit(graph, tiny_model, images):
    replay = Replay(graph)
    alone = dict(replay.flips(images, others=False))
    without = dict(replay.flips(images, others=True))
    assert list(alone) == list(without) == list(replay.operators)
    for name in replay.operators:
        rest = set(replay.operators) - {name}
        assert alone[name].equal(quantized_only(graph, tiny_model, images, {name})(images))
        assert without[name].equal(quantized_only(graph, tiny_model, images, rest)(images))
        assert not alone[name].equal(replay.run(images, ())), name


@torch.no_grad()
def test_a_float_operator_reads_its_weight_as_it_was_before_rounding(graph, images):
    before = Replay(graph).run(images, ())
    weight = next(node for node in graph.graph.nodes if node.op == "get_attr")
    graph.set_weight(weight, torch.zeros(weight.meta["shape"]))
    replay = Replay(graph)
    assert replay.run(images, ()).equal(before)
    assert replay.run(images, replay.operators).equal(graph(images))


@torch.no_grad()
def test_only_what_later_steps_read_is_kept(graph, images):
    replay, most = Replay(graph), 0
    for _node, _y, read in replay.visit(images):
        most = max(most, len(read))
    # The image, or the residual stream beside one branch; q, k and v of one attention.
    assert most <= 4


def test_inputs_are_those_the_modules_see(graph, images):
    seen = {}
    hooks = [
        graph.get_submodule(edge.module).register_forward_pre_hook(
            lambda _module, args, name=edge.module: seen.__setitem__(name, args[0])
        )
        for edge in graph.quant_edges
    ]
    with torch.no_grad(), graph.fake_quant_off():
        graph(images)
    for hook in hooks:
        hook.remove()
    found = dict(Replay(graph).inputs(images))
    assert set(found) == set(seen)
    assert all(found[name].equal(seen[name]) for name in seen)
