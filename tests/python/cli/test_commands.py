"""The commands on the embedded default: what they print, write and promise."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from hybridquant.cli import main
from hybridquant.export import load_torchscript

METRICS = {
    "agreement",
    "batch_size",
    "data_sha256",
    "float_bytes",
    "fp32_top1",
    "images",
    "model",
    "model_bytes",
    "recipe",
    "recipe_sha256",
    "seconds",
    "seed",
    "sqnr_db",
    "top1",
}


def run_json(argv: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    assert main([*argv, "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return json.loads(printed.out)


def quantize_arguments(
    photographs: Path, out: Path, *more: str, recipe: str | None = "baseline/w8a8-mse"
) -> list[str]:
    return [
        *("quantize", "default", "--out", str(out), "--images", "20", "--threads", "1"),
        *(("--recipe", recipe) if recipe else ()),
        *("--calib", str(photographs / "imagenette_calib.tar"), *more),
    ]


@pytest.mark.e2e
def test_quantize_then_evaluate(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    val = str(photographs / "imagenette_val.tar")
    command = quantize_arguments(photographs, tmp_path, "--eval", val, recipe=None)
    metrics = run_json(command, capsys)
    assert metrics["recipe"] == "hybrid/w8a8"
    assert set(metrics) >= METRICS
    assert metrics == json.loads((tmp_path / "metrics.json").read_text())
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "metrics.json",
        "model.fakequant.pt",
        "model.hq.safetensors",
        "model.int8.pt",
        "recipe.yaml",
    ]
    assert (metrics["images"], metrics["eval_images"], metrics["seed"]) == (20, 400, 0)
    assert metrics["batch_size"] == 32
    recipe = (tmp_path / "recipe.yaml").read_bytes()
    assert metrics["recipe_sha256"] == hashlib.sha256(recipe).hexdigest()
    # The card says 82.5 % on 3,925 images; 4 standard deviations on 400 images are 7.6 points.
    assert abs(metrics["fp32_top1"] - 0.825) < 0.076
    # 1.5 points are 6 of 400 images.
    assert min(metrics["top1"], metrics["integer_top1"]) > metrics["fp32_top1"] - 0.015
    assert metrics["model_bytes"] < 0.3 * metrics["float_bytes"]

    file = str(tmp_path / "model.fakequant.pt")
    again = run_json(["evaluate", file, "--data", val, "--threads", "1"], capsys)
    assert again["top1"] == metrics["top1"]
    assert again["data_sha256"] == metrics["eval_sha256"]


@pytest.mark.e2e
def test_text_output_starts_with_the_float_accuracy(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    val = str(photographs / "imagenette_calib.tar")
    assert main(quantize_arguments(photographs, tmp_path, "--eval", val)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("efficientvit_b0.imagenette float32: top-1 8")
    assert "its card says 82.52 %" in lines[0]
    assert any(line.startswith("| float32 ") for line in lines)
    assert str(tmp_path / "model.fakequant.pt") in lines[-3]


@pytest.mark.e2e
def test_without_eval_there_is_no_accuracy(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = run_json(quantize_arguments(photographs, tmp_path), capsys)
    assert metrics["top1"] is None
    assert metrics["fp32_top1"] is None
    assert metrics["eval_images"] == 0
    assert 0.5 < metrics["agreement"] <= 1


@pytest.mark.e2e
@pytest.mark.slow
def test_same_seed_same_bytes_in_another_process(photographs: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        argv = quantize_arguments(photographs, tmp_path / name, "--seed", "3")
        subprocess.run([sys.executable, "-m", "hybridquant", *argv], check=True)
    for name in ("model.fakequant.pt", "recipe.yaml"):
        first, second = (tmp_path / folder / name for folder in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
    metrics = [
        json.loads((tmp_path / folder / "metrics.json").read_text())
        for folder in ("first", "second")
    ]
    for each in metrics:
        del each["seconds"]
    assert metrics[0] == metrics[1]


@pytest.mark.e2e
def test_interruption_leaves_nothing(photographs: Path, tmp_path: Path) -> None:
    argv = quantize_arguments(photographs, tmp_path / "out")
    process = subprocess.Popen(
        [sys.executable, "-m", "hybridquant", *argv], stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not any(tmp_path.iterdir()):
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "hybridquant: error: interrupted; nothing was written\n"
    assert list(tmp_path.iterdir()) == []


def test_the_file_says_what_it_is(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_json(quantize_arguments(photographs, tmp_path), capsys)
    module, about = load_torchscript(tmp_path / "model.fakequant.pt")
    assert about["model"] == "efficientvit_b0.imagenette"
    assert about["data_config"]["input_size"] == [3, 128, 128]
    assert len(about["classes"]) == 10
    assert module(torch.zeros(3, 3, 128, 128)).shape == (3, 10)


LISTS = {
    "models": "efficientvit_b0.imagenette",
    "recipes": "baseline/w8a8-mse",
    "quantizers": "affine",
    "observers": "percentile",
    "passes": "observe",
}


@pytest.mark.parametrize(("what", "name"), LISTS.items(), ids=LISTS)
def test_list(what: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = run_json(["list", what], capsys)
    assert name in [next(iter(row.values())) for row in rows]
    assert main(["list", what]) == 0
    assert name in capsys.readouterr().out


def test_list_observers_shows_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["observer"]: row["options"] for row in run_json(["list", "observers"], capsys)}
    assert rows["minmax"] == []
    assert rows["ema"] == [
        {
            "option": "momentum",
            "default": 0.01,
            "value": "a number in [0.0, 1.0]",
            "meaning": "Weight of the newest batch.",
        }
    ]
    assert main(["list", "observers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line.split("|")[1:-1] for line in lines if "Lower quantile." in line]
    assert [cell.strip() for cell in row[:3]] == ["percentile", "lower", "0.00001"]


def test_recipe_show_is_the_recipe(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["recipe", "show", "baseline/w6a6-mse"]) == 0
    text = capsys.readouterr().out
    (tmp_path / "copy.yaml").write_text(text)
    data = run_json(["recipe", "show", str(tmp_path / "copy.yaml")], capsys)
    assert data == run_json(["recipe", "show", "baseline/w6a6-mse"], capsys)


def test_inspect_shows_operators_blocks_and_bridges(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "mobilevit_xxs"]) == 0
    text = capsys.readouterr().out
    for word in ("conv2d", "softmax", "stages.2.1.conv_1x1", "bridge"):
        assert word in text
    data = run_json(["inspect", "mobilevit_xxs"], capsys)
    assert any(operator["kind"] == "softmax" for operator in data["operators"])


def test_a_defect_is_called_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_name: str) -> None:
        message = "impossible\nsecond line"
        raise KeyError(message)

    monkeypatch.setattr("hybridquant.cli.recipe.load_recipe", broken)
    assert main(["recipe", "show", "baseline/w8a8-mse"]) == 70
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "a defect of hybridquant: KeyError" in errors
    assert main(["recipe", "show", "baseline/w8a8-mse", "--debug"]) == 70
    assert "Traceback" in capsys.readouterr().err
