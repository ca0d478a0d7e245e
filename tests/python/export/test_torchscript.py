"""TorchScript files equal the graph bit for bit and say what they are."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hybridquant.calibration import Calibration
from hybridquant.capture import capture
from hybridquant.export import load_torchscript, save_torchscript
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph, prepare
from hybridquant.types import Edge, QuantSpec


def weights_and_inputs(edges: list[Edge]) -> list[QuantSpec | None]:
    specs = {
        "weight": QuantSpec(bits=4, scheme="symmetric", granularity="channel"),
        "activation": QuantSpec(bits=8),
    }
    return [specs[e.operand] if e.kind in ("conv2d", "linear", "matmul") else None for e in edges]


@pytest.fixture
def graph(tiny_model: nn.Module, images: Tensor) -> QuantGraph:
    prepared = prepare(capture(tiny_model, images), weights_and_inputs)
    return PASSES["observe"](prepared, Calibration(images))


def test_the_file_equals_the_graph_at_any_batch(
    graph: QuantGraph, images: Tensor, tmp_path: Path
) -> None:
    save_torchscript(graph, tmp_path / "m.pt", images[:1], {"model": "tiny"})
    module, metadata = load_torchscript(tmp_path / "m.pt")
    assert metadata == {"model": "tiny"}
    for size in (1, 2, 5):
        assert torch.equal(module(images[:size]), graph(images[:size]))


def test_training_mode_is_refused_and_nothing_is_written(
    graph: QuantGraph, images: Tensor, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="must be in eval mode, got training mode"):
        save_torchscript(graph.train(), tmp_path / "m.pt", images)
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_bakes_in_the_batch_is_refused(tmp_path: Path) -> None:
    class FixedBatch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum(0, keepdim=True) / len(x.tolist())

    with (
        pytest.warns(torch.jit.TracerWarning),
        pytest.raises(RuntimeError, match="differs from graph at batch 1"),
    ):
        save_torchscript(FixedBatch().eval(), tmp_path / "m.pt", torch.ones(2, 3))
    assert list(tmp_path.iterdir()) == []


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(b"not a zip")
    with pytest.raises(ValueError, match=r"must be a TorchScript file, got .*m\.pt"):
        load_torchscript(tmp_path / "m.pt")
