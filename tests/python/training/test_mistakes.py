"""The training script answers a user's mistakes with one sentence, before it trains."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import timm
import torch

from hybridquant.models.reference import CHECKPOINTS
from training.processes import join_processes
from training.settings import Settings, Stage
from training.trainer import create_model, load_state, load_weights

SCRIPT = Path(__file__).parents[3] / "scripts" / "train_reference.py"
OTHER = CHECKPOINTS / "efficientvit_b0.imagenette.safetensors"
SETTINGS = "model: mobilevitv2_050\nstages: [{epochs: 200, size: 32}]\ninput_size: 32\n"


def command(tmp_path, data, *options):
    (tmp_path / "run.yaml").write_text(SETTINGS)
    arguments = ["--data", data, "--out", tmp_path / "out", "--threads", 1, "--device", "cpu"]
    arguments = [SCRIPT, tmp_path / "run.yaml", *arguments, "--decode-size", 32, *options]
    return [sys.executable, *map(str, arguments)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        (("--validation", "gone.tar"), 1, "error: --validation must exist, got gone.tar\n"),
        (("--stop-after", "0"), 2, "--stop-after: must be a whole number of at least 1, got '0'\n"),
    ],
)
def test_one_sentence(tmp_path, options, code, problem):
    found = subprocess.run(
        command(tmp_path, "gone.tar", *options), capture_output=True, text=True, check=False
    )
    assert found.returncode == code
    assert found.stderr.endswith(problem)
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_interrupt_is_no_error(tmp_path, photographs):
    run = subprocess.Popen(
        command(tmp_path, photographs / "imagenette_calib.tar"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 200
    while not (tmp_path / "out" / "log.csv").exists() and time.monotonic() < end:
        time.sleep(0.2)
    run.send_signal(signal.SIGINT)
    _, text = run.communicate(timeout=60)
    assert run.returncode == 130
    assert text.endswith("train_reference: stopped; the same command goes on\n")
    assert "Traceback" not in text
    assert load_state(tmp_path / "out" / "state.pt", torch.device("cpu"))["epoch"] >= 1


def test_initial_weights_must_be_the_models(tmp_path):
    model = timm.create_model("mobilevitv2_050", num_classes=10)
    with pytest.raises(ValueError, match=r"must fit the model of the settings, got .* missing"):
        load_weights(model, OTHER)
    (tmp_path / "a.safetensors").write_text("text")
    with pytest.raises(ValueError, match="must be a whole safetensors file"):
        load_weights(model, tmp_path / "a.safetensors")
    with pytest.raises(FileNotFoundError, match="must be an existing file"):
        load_weights(model, tmp_path / "gone.safetensors")


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("nosuch", {}, "model must be the name of a timm model, got 'nosuch'"),
        ("mobilevit_xxs", {"nosuch": 3}, "model_options must be arguments of mobilevit_xxs"),
    ],
)
def test_models_are_timms(name, options, problem):
    settings = Settings(name, (Stage(3, 32),), 32, model_options=options)
    with pytest.raises(ValueError, match=problem):
        create_model(settings, 10)


def test_a_damaged_state_is_named(tmp_path):
    path = tmp_path / "state.pt"
    torch.save({"epoch": 1}, path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"state\.pt must be a whole state of a run, got"):
        load_state(path, torch.device("cpu"))


def test_devices_are_checked():
    with (
        pytest.raises(ValueError, match="--device must be auto, cpu, cuda or cuda:N, got foo"),
        join_processes("foo"),
    ):
        pass
