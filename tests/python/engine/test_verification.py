"""What the comparison of engine and simulator finds, and what it says of it."""

import pytest
import torch
from engine_cases import NOISE, integer_model, photographs

from hybridquant.engine import Difference, verify
from hybridquant.lower import simulate


def test_engine_and_simulator_agree():
    model = integer_model("attention")
    images = [photographs()[:2], NOISE[:3]]
    found = verify(model, images, torch.jit.script(model.to_module()), batch_size=2)
    assert (found.images, found.nodes) == (5, model.num_nodes)
    assert (found.differing_codes, found.first) == (0, None)
    runs = [(run.runner, run.batch, run.threads, run.differing_codes) for run in found.runs]
    assert runs == [
        *(("engine", batch, threads, 0) for threads in (1, 2) for batch in (1, 2, 3)),
        *(("torchscript", batch, torch.get_num_threads(), 0) for batch in (1, 2, 3)),
    ]


def test_every_difference_is_counted_and_the_first_is_named(monkeypatch):
    """Two nodes of the second image are changed in the simulator, at three codes in all."""
    model = integer_model()
    graph, calls = model.graph, []
    (first,) = (index for index, node in enumerate(graph.nodes) if node.op == "add")
    second = len(graph.nodes) - 1

    def wrong(*arguments):
        values = simulate(*arguments)
        calls.append(values)
        if len(calls) == 2:
            values[graph.nodes[first].output][0, 3, 5, 7] += 1
            values[graph.nodes[first].output][0, 4, 0, 0] += 1
            values[graph.nodes[second].output][0, 1] -= 2
        return values

    monkeypatch.setattr("hybridquant.engine.verification.simulate", wrong)
    found = verify(model, [NOISE[:3]])
    node = graph.nodes[first]
    code = int(model.trace(NOISE[1:2])[node.output][0, 3, 5, 7])
    assert found.first == Difference(1, first, node.op, node.path, (0, 3, 5, 7), code, code + 1)
    where = f"({node.op} of {node.path or 'the model itself'})"
    assert str(found.first) == (
        f"node {first} {where} of image 1 at [0, 3, 5, 7]: engine {code}, simulator {code + 1}"
    )
    # Three codes of nodes, and the changed logit in each of the runs.
    assert [run.differing_codes for run in found.runs] == [1] * 6
    assert found.differing_codes == 3 + 6


def test_logits_that_differ_are_counted():
    model = integer_model()
    found = verify(model, [NOISE[:3]], lambda x: model(x) + torch.tensor([0, 0, 0, 0, 1e-3]))
    assert [run.differing_codes for run in found.runs if run.runner == "torchscript"] == [3] * 3
    assert (found.differing_codes, found.first) == (9, None)


def test_there_must_be_images():
    with pytest.raises(ValueError, match="batches must hold at least one image, got none"):
        verify(integer_model(), [])
    with pytest.raises(TypeError, match="must be uint8"):
        verify(integer_model(), [NOISE.float()])
