"""TorchScript files equal the graph bit for bit and say what they are."""

import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import hybridquant
from hybridquant.calibration import Calibration
from hybridquant.capture import capture
from hybridquant.export import load_torchscript, save_torchscript
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph, prepare
from hybridquant.report import predict
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


def test_outputs_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    class Zeros(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x / (x * 0)

    with pytest.raises(ValueError, match="must return finite numbers, got 18 of 18 that are not"):
        save_torchscript(Zeros().eval(), tmp_path / "m.pt", torch.ones(2, 3))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(1, 3, 16, 17), (1, 4, 16, 16), (3, 16, 16), (0,)])
def test_the_file_refuses_another_size(
    graph: QuantGraph, images: Tensor, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    save_torchscript(graph, tmp_path / "m.pt", images)
    module, _ = load_torchscript(tmp_path / "m.pt")
    text = (
        rf"x must have shape \[batch\] \+ \[3, 16, 16\], got {re.escape(str(list(shape)))}; resize"
    )
    with pytest.raises(torch.jit.Error, match=text):
        module(torch.zeros(shape))


def test_a_wrong_size_is_one_sentence_in_predict(
    graph: QuantGraph, images: Tensor, tmp_path: Path
) -> None:
    save_torchscript(graph, tmp_path / "m.pt", images)
    module, _ = load_torchscript(tmp_path / "m.pt")
    batch = (torch.zeros(2, 3, 8, 8), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"got: .*x must have shape .* got \[2, 3, 8, 8\]; resize"):
        predict(module, [batch])


def test_the_file_does_not_say_where_it_was_made(
    graph: QuantGraph, images: Tensor, tmp_path: Path
) -> None:
    save_torchscript(graph, tmp_path / "m.pt", images)
    folders = [
        Path(torch.__file__).parent,
        Path(__file__).parent,
        Path(hybridquant.__file__).parent,
    ]
    with zipfile.ZipFile(tmp_path / "m.pt") as file:
        records = {name: file.read(name) for name in file.namelist()}
    assert "archive/extra/hybridquant.json" in records
    for name, record in records.items():
        assert not any(str(folder).encode() in record for folder in folders), name


class Pair(nn.Module):
    """A model with two outputs."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.mean((2, 3)), x.amax((2, 3))


IMAGE = torch.ones(1, 3, 4, 4)
BAD = {
    "no-module": (None, IMAGE, TypeError, "graph must be an nn.Module, got NoneType"),
    "no-example": (Pair(), None, TypeError, "example must be a float tensor, got NoneType"),
    "codes": (Pair(), IMAGE.byte(), TypeError, "example must be a float tensor, got torch.uint8"),
    "no-image": (Pair(), IMAGE[:0], ValueError, r"at least one image, got shape \[0, 3, 4, 4\]"),
    "number": (Pair(), IMAGE.sum(), ValueError, r"at least one image, got shape \[\]"),
    "nan": (Pair(), IMAGE * torch.nan, ValueError, "example must be finite, got 48 of 48 values"),
    "two-outputs": (Pair(), IMAGE, TypeError, "graph must return one tensor, got tuple"),
}


@pytest.mark.parametrize(("graph", "example", "error", "text"), BAD.values(), ids=BAD)
def test_bad_arguments_are_named(
    graph: Any, example: Any, error: type[Exception], text: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=f"save_torchscript: .*{text}"):
        save_torchscript(graph and graph.eval(), tmp_path / "m.pt", example)
    assert list(tmp_path.iterdir()) == []


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(b"not a zip")
    with pytest.raises(ValueError, match=r"must be a TorchScript file, got .*m\.pt"):
        load_torchscript(tmp_path / "m.pt")
