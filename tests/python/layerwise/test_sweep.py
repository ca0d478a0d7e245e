"""The sweep: every value is the graph's own, changes count from where they are made, memory."""

import pytest
import torch
from torch import Tensor, fx, nn

from hybridquant.calibration import Calibration
from hybridquant.capture import capture
from hybridquant.layerwise import products_of, sweep, unit_of
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph, prepare
from hybridquant.types import Edge, QuantSpec


@pytest.fixture
def graph(tiny_model: nn.Module, images: Tensor) -> QuantGraph:
    def resolve(edges: list[Edge]) -> list[QuantSpec | None]:
        weight = QuantSpec(bits=4, scheme="symmetric", granularity="channel")
        return [weight if edge.operand == "weight" else QuantSpec(bits=4) for edge in edges]

    return PASSES["observe"](prepare(capture(tiny_model, images), resolve), Calibration(images))


def node_of(graph: QuantGraph, kind: str, index: int = 0) -> fx.Node:
    return [node for node in graph.graph.nodes if node.meta["kind"] == kind][index]


def last_unit(graph: QuantGraph) -> fx.Node:
    return node_of(graph, "linear", -1)


def test_values_are_those_of_the_whole_graph(graph: QuantGraph, images: Tensor) -> None:
    head = unit_of([last_unit(graph)])
    (visit,) = list(sweep(graph, Calibration(images, 4), [head]))
    assert [len(batch.values[head.inputs[0]]) for batch in visit.batches] == [4, 2]
    with torch.no_grad():
        logits = torch.cat([visit.run(b.values)[head.outputs[0]] for b in visit.batches])
        floats = torch.cat([visit.run_float(b.floats)[head.outputs[0]] for b in visit.batches])
        assert torch.equal(logits, graph(images))
        with graph.fake_quant_off():
            torch.testing.assert_close(floats, graph(images), rtol=0, atol=1e-6)


def test_a_change_counts_from_where_it_is_made(graph: QuantGraph, images: Tensor) -> None:
    first, second = products_of(graph)[0], products_of(graph)[-1]
    before = graph.original(first.weight).clone()
    visits = sweep(graph, Calibration(images), [unit_of([first.node]), unit_of([second.node])])
    next(visits)
    graph.set_weight(first.weight, torch.zeros_like(before))
    later = next(visits)
    tokens = later.unit.inputs[0]
    assert not torch.equal(later.batches[0].values[tokens], later.batches[0].floats[tokens])
    assert torch.equal(graph.original(first.weight), before)  # the float side does not see it
    with torch.no_grad():
        assert torch.equal(later.run(later.batches[0].values)[second.node], graph(images))


def test_a_unit_of_several_operators_runs_as_one(graph: QuantGraph, images: Tensor) -> None:
    nodes = [node for node in graph.graph.nodes if node.op == "call_function"]
    unit = unit_of(nodes[1:6])
    (visit,) = list(sweep(graph, Calibration(images), [unit]))
    assert set(visit.batches[0].values) == set(unit.inputs)
    result = visit.run(visit.batches[0].values)
    assert set(result) == set(unit.outputs)


def test_as_many_images_as_fit(graph: QuantGraph, images: Tensor) -> None:
    head = unit_of([last_unit(graph)])

    def count(**options: float) -> int:
        (visit,) = list(sweep(graph, Calibration(images, 2), [head], **options))
        return sum(len(batch.values[head.inputs[0]]) for batch in visit.batches)

    assert count() == 6
    assert count(images=3) == 3
    # Logits and shares of 64 tokens, and their 8 values each; in float and quantized.
    assert count(memory=3 * 2 * 4 * (2 * 64 * 64 + 64 * 8) / 2**30) == 3
    with pytest.raises(ValueError, match="memory must be at least"):
        count(memory=1e-9)
    with pytest.raises(ValueError, match="images must be at least 1, got 0"):
        count(images=0)


def test_units_that_make_no_order_are_refused(graph: QuantGraph, images: Tensor) -> None:
    stem, depthwise = node_of(graph, "conv2d"), node_of(graph, "conv2d", 1)
    around = unit_of([stem, depthwise])  # the ReLU between them is in no unit
    with pytest.raises(ValueError, match="must not read what depends on it"):
        list(sweep(graph, Calibration(images), [around]))
    with pytest.raises(ValueError, match="must not share operators"):
        list(sweep(graph, Calibration(images), [unit_of([stem]), unit_of([stem])]))
