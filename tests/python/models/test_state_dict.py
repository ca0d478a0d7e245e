"""Checkpoint files: forms that are read, damage and misfits that are refused."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from hybridquant.models.state_dict import load_into, read_state_dict

STATE = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3},
        {"model": STATE},
        {"state_dict": {f"module.{name}": value for name, value in STATE.items()}},
        {"state_dict": STATE, "args": argparse.Namespace(lr=0.1)},
    ],
    ids=["plain", "state_dict", "model", "data parallel", "timm's script"],
)
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pth.tar"])
def test_reads_what_training_scripts_save(tmp_path: Path, content: Any, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    torch.save(content, path)
    state = read_state_dict(path)
    assert state.keys() == STATE.keys()
    assert all(torch.equal(state[name], STATE[name]) for name in STATE)


def test_reads_safetensors(tmp_path: Path) -> None:
    safetensors.torch.save_file(STATE, tmp_path / "x.safetensors")
    assert read_state_dict(tmp_path / "x.safetensors").keys() == STATE.keys()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({}, "hold a state dictionary, got .*x.pt with nothing in it"),
        ([1.0], "hold a state dictionary, got .*x.pt with a list"),
        ({"epoch": 3, **STATE}, "hold tensors only, got .* where 'epoch' is an int"),
        (
            nn.Linear(3, 2),
            r"be a whole .*, got \S+ \(it is damaged, or holds more than tensors\); save",
        ),
    ],
)
def test_refuses_other_contents(tmp_path: Path, content: Any, text: str) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=f"load_model: checkpoint must {text}"):
        read_state_dict(tmp_path / "x.pt")


@pytest.mark.parametrize("name", ["x.pt", "x.safetensors"])
def test_refuses_damaged_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    torch.save(STATE, path) if name == "x.pt" else safetensors.torch.save_file(STATE, path)
    whole = path.read_bytes()
    for damaged in (b"", b"text", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"load_model: checkpoint must be a whole .* file"):
            read_state_dict(path)


def test_refuses_missing_and_other_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"must be an existing file, got .*gone\.pt"):
        read_state_dict(tmp_path / "gone.pt")
    (tmp_path / "x.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match=r"must end in .safetensors, .pth, .pth.tar or .pt"):
        read_state_dict(tmp_path / "x.onnx")


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({"weight": STATE["weight"]}, "with 1 missing: bias"),
        ({**STATE, "a.b": torch.ones(1)}, "with 1 unexpected: a.b"),
        (
            {**STATE, "bias": torch.ones(4)},
            r"with 1 with another shape: bias \[4\] instead of \[2\]",
        ),
        ({"weight": STATE["weight"], "c": STATE["bias"]}, "with 1 missing: bias, 1 unexpected: c"),
        (
            {**STATE, **{f"extra{i}": torch.ones(1) for i in range(5)}},
            "with 5 unexpected: extra0, extra1, extra2, ...",
        ),
    ],
)
def test_misfits_are_named(state: dict[str, torch.Tensor], text: str) -> None:
    with pytest.raises(ValueError, match=f"checkpoint must fit a line, got x.pt {text}$"):
        load_into(nn.Linear(3, 2), state, Path("x.pt"), "a line")


def test_half_precision_weights_become_the_models(tmp_path: Path) -> None:
    module = nn.Linear(3, 2)
    load_into(module, {name: v.half() for name, v in STATE.items()}, Path("x.pt"), "a line")
    assert module.weight.dtype == torch.float32
    assert torch.equal(module.weight, STATE["weight"])
