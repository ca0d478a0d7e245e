"""The training script as its users run it."""

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from hybridquant.data import load_data
from hybridquant.models import load_model, reference
from hybridquant.report import predict

SCRIPTS = Path(__file__).parents[3] / "scripts"

SETTINGS = """
model: {model}
stages: [{{epochs: 2, size: 32}}, {{epochs: 1, size: 48}}]
input_size: 48
batch_size: 16
warmup_epochs: 1
lr: {lr}
"""


@pytest.fixture
def train(tmp_path, photographs):
    def run(out, *options, model="efficientvit_b0", lr=0.001, launcher=(), check=True):
        settings = tmp_path / "run.yaml"
        settings.write_text(SETTINGS.format(model=model, lr=lr))
        command = [
            *(sys.executable, *launcher, str(SCRIPTS / "train_reference.py"), str(settings)),
            *("--data", str(photographs / "imagenette_calib.tar"), "--out", str(tmp_path / out)),
            *("--decode-size", "64", "--device", "cpu", "--threads", "1", *options),
        ]
        return subprocess.run(command, capture_output=True, text=True, check=check, timeout=300)

    return run


def curve(folder):
    with (folder / "log.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_stopping_and_going_on_changes_nothing(train, tmp_path):
    train("whole", model="mobilevitv2_050")
    train("parts", "--stop-after", "1", model="mobilevitv2_050")
    assert len(curve(tmp_path / "parts")) == 1
    train("parts", model="mobilevitv2_050")
    assert curve(tmp_path / "parts") == curve(tmp_path / "whole")
    assert [row["size"] for row in curve(tmp_path / "whole")] == ["32", "32", "48"]
    whole, parts = (
        torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("whole", "parts")
    )
    for key in ("model", "ema"):
        assert all(torch.equal(value, parts[key][name]) for name, value in whole[key].items())
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == ["log.csv", "state.pt"]
    other = train("parts", model="mobilevitv2_050", lr=0.002, check=False)
    assert other.returncode != 0
    assert "settings must be those of the run to go on with" in other.stderr


@pytest.mark.slow
def test_torchrun_trains_in_two_processes(train, tmp_path):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    train("two", "--stop-after", "1", launcher=launcher)
    state = torch.load(tmp_path / "two" / "state.pt", weights_only=True)
    assert (state["processes"], state["epoch"]) == (2, 1)
    train("two", launcher=launcher)
    assert [float(row["loss"]) < 3 for row in curve(tmp_path / "two")] == [True] * 3


@pytest.mark.slow
def test_what_is_released_loads_and_is_what_its_card_says(
    train, tmp_path, photographs, monkeypatch
):
    archive = photographs / "imagenette_val.tar"
    train("run", "--validation", str(archive))
    monkeypatch.setattr(reference, "CHECKPOINTS", tmp_path / "run")
    model = load_model("efficientvit_b0.imagenette")
    assert model.card is not None
    data = load_data(archive, model.data_config, classes=model.classes)
    found = predict(model.module, data)
    assert round(found.top1, 4) == model.card["top1_val"]
    assert found.images == model.card["top1_images"] == 400
    assert data.sha256 == model.card["top1_sha256"]
    weights = safetensors.torch.load_file(
        tmp_path / "run" / "efficientvit_b0.imagenette.safetensors"
    )
    assert {value.dtype for value in weights.values()} == {torch.float16, torch.int64}


@pytest.mark.slow
def test_a_run_goes_on_from_the_weights_of_another(train, tmp_path, photographs):
    archive = photographs / "imagenette_val.tar"
    train("first", "--validation", str(archive))
    weights = tmp_path / "first" / "efficientvit_b0.imagenette.safetensors"
    train("second", "--init", str(weights), "--stop-after", "1", "--validation", str(archive))
    card = json.loads((tmp_path / "second" / "efficientvit_b0.imagenette.json").read_text())
    assert card["initial_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert card["training"].endswith(f"--init {weights.name} --precision float32 --stop-after 1")
    assert float(curve(tmp_path / "second")[0]["loss"]) < float(
        curve(tmp_path / "first")[0]["loss"]
    )
    other = train("second", check=False)
    assert other.returncode != 0
    assert "initial_sha256 must be those of the run to go on with" in other.stderr
