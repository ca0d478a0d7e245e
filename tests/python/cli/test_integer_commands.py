"""What the commands do with integer models: make them, refuse to, run, compare and print them."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import hybridquant as hq
from hybridquant.cli import main
from hybridquant.lower import simulate

TESTS = Path(__file__).parents[2]
CALIB = str(TESTS / "data" / "imagenette_calib.tar")
VAL = str(TESTS / "data" / "imagenette_val.tar")
RECIPE = "integer/w8a8"
INTEGERS = {"integer_top1", "integer_agreement", "integer_bytes", "float_nodes", "copies"}


class Small(nn.Module):
    """A model of the photographs' ten classes, for images of 32 x 32."""

    data_config = hq.DataConfig((3, 32, 32), crop_pct=1.0)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.head = nn.Linear(8 * 16 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.silu(self.stem(x)).flatten(1))


def quantize(out: Path, *more: str, recipe: str = RECIPE) -> list[str]:
    return [
        *("quantize", f"{__name__}:Small", "--recipe", recipe, "--calib", CALIB),
        *("--images", "10", "--threads", "1", "--out", str(out), *more),
    ]


def run_json(argv: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    assert main([*argv, "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return json.loads(printed.out)


def num_nodes(out: Path) -> int:
    return hq.IntegerModel.load(out / "model.hq.safetensors").num_nodes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that ``quantize`` filled."""
    out = tmp_path_factory.mktemp("made")
    assert main([*quantize(out, "--eval", CALIB), "--json"]) == 0
    return out


def test_an_integer_recipe_gives_all_files(made: Path) -> None:
    assert sorted(path.name for path in made.iterdir()) == [
        "metrics.json",
        "model.fakequant.pt",
        "model.hq.safetensors",
        "model.int8.pt",
        "recipe.yaml",
    ]
    metrics = json.loads((made / "metrics.json").read_text())
    assert set(metrics) >= INTEGERS
    assert (metrics["float_nodes"], metrics["float_operators"]) == (0, [])
    assert metrics["integer_bytes"] == (made / "model.hq.safetensors").stat().st_size
    assert abs(metrics["integer_top1"] - metrics["top1"]) < 0.05
    assert metrics["integer_agreement"] > 0.9
    assert metrics["integer_fakequant_agreement"] > 0.9


def test_evaluate_takes_each_file(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = json.loads((made / "metrics.json").read_text())
    expected = {
        "model.fakequant.pt": metrics["top1"],
        "model.int8.pt": metrics["integer_top1"],
        "model.hq.safetensors": metrics["integer_top1"],
    }
    for name, top1 in expected.items():
        argv = ["evaluate", str(made / name), "--data", CALIB, "--threads", "1"]
        found = run_json(argv, capsys)
        assert (found["top1"], found["images"]) == (top1, 128), name


def test_the_table_has_a_row_of_integers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(quantize(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]
    assert rows[0][1] == "what is integer"
    assert [row[:2] for row in rows[2:]] == [
        ["float32", "nothing"],
        ["integer/w8a8", "3 of 3 operators, simulated"],
        ["integer model", f"all {num_nodes(tmp_path)} nodes"],
    ]
    size = (tmp_path / "model.hq.safetensors").stat().st_size
    assert rows[4][5] == str(size)
    assert [Path(line.strip()).name for line in lines[-5:]] == [
        "model.fakequant.pt",
        "model.hq.safetensors",
        "model.int8.pt",
        "recipe.yaml",
        "metrics.json",
    ]


def test_without_integers_the_summary_says_why(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    assert main(quantize(tmp_path, recipe="baseline/w8a8-minmax")) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("No integer model, for 1 operator is float:")
    assert "silu silu in the model's own forward" in lines[at + 1]
    # What the folder held of the earlier run is gone.
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "metrics.json",
        "model.fakequant.pt",
        "recipe.yaml",
    ]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["float_nodes"] == 1
    assert metrics["float_operators"][0] in lines[at + 1]
    assert [metrics[key] for key in sorted(INTEGERS - {"float_nodes"})] == [None] * 4


def test_what_is_float_is_an_error_where_all_must_be_integer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = quantize(tmp_path / "out", "--integer", "always", recipe="baseline/w8a8-minmax")
    assert main(argv) == 1
    assert "every operator must become integer" in capsys.readouterr().err
    baseline = hq.load_recipe("baseline/w8a8-minmax")
    promising = replace(baseline, name="integer/mine")
    monkeypatch.setattr("hybridquant.cli.quantize.load_recipe", lambda _: promising)
    assert main(quantize(tmp_path / "out")) == 1
    errors = capsys.readouterr().err
    assert re.search("silu silu in .* has no fake-quant module; let a rule of the recipe", errors)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_same_seed_same_bytes_in_another_process(tmp_path: Path) -> None:
    names = ("model.fakequant.pt", "model.hq.safetensors", "model.int8.pt", "recipe.yaml")
    for folder in ("first", "second"):
        argv = quantize(tmp_path / folder)
        argv[1] = f"{Path(__file__).stem}:Small"
        command = [sys.executable, "-m", "hybridquant", *argv]
        subprocess.run(command, check=True, cwd=Path(__file__).parent)
    for name in names:
        first, second = (tmp_path / folder / name for folder in ("first", "second"))
        assert first.read_bytes() == second.read_bytes(), name


def test_integers_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = run_json(quantize(tmp_path, "--integer", "never"), capsys)
    assert metrics["float_nodes"] is None
    assert metrics["integer_bytes"] is None
    assert not (tmp_path / "model.hq.safetensors").exists()
    assert main(quantize(tmp_path, "--integer", "never")) == 0
    assert "No integer model (--integer never)." in capsys.readouterr().out


def verify(out: Path, *more: str) -> list[str]:
    return ["verify", str(out), "--data", VAL, "--images", "4", *more]


def test_verify_finds_no_difference(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json(verify(made, "--batch-size", "2"), capsys)
    assert (found["images"], found["nodes"], found["differing_codes"]) == (4, num_nodes(made), 0)
    assert found["first_difference"] is None
    assert {(run["runner"], run["batch"]) for run in found["runs"]} == {
        (runner, batch) for runner in ("engine", "torchscript") for batch in (1, 2, 3)
    }
    assert main(verify(made)) == 0
    text = f"4 images, {num_nodes(made)} nodes, 0 differing codes."
    assert text in capsys.readouterr().out


def test_verify_names_the_first_difference(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = hq.IntegerModel.load(made / "model.hq.safetensors").graph
    (at,) = (index for index, node in enumerate(graph.nodes) if node.op == "table")

    def wrong(graph: Any, image: Tensor) -> dict[str, Tensor]:
        values = simulate(graph, image)
        values[graph.nodes[at].output][0, 1, 2, 3] += 1
        return values

    monkeypatch.setattr("hybridquant.engine.verification.simulate", wrong)
    assert main([*verify(made), "--json"]) == 1
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["differing_codes"] == 4
    first = found["first_difference"]
    values = [first[key] for key in ("image", "node", "op", "index")]
    assert values == [0, at, "table", [0, 1, 2, 3]]
    assert first["simulator"] == first["engine"] + 1
    assert re.fullmatch(
        r"hybridquant: error: verify: all codes must be equal, got 4 that differ; the first: "
        rf"node {at} \(table of the model itself\) of image 0 at \[0, 1, 2, 3\]: "
        r"engine \d+, simulator \d+\n",
        printed.err,
    )


def test_verify_wants_files_that_belong_together(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(verify(tmp_path)) == 1
    assert "verify: OUT must be a folder with model.hq.safetensors" in capsys.readouterr().err
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    shutil.copy(made / "model.fakequant.pt", tmp_path / "model.int8.pt")
    assert main(verify(tmp_path)) == 1
    assert "must hold the model of model.hq.safetensors, got another" in capsys.readouterr().err


def test_inspect_prints_the_nodes(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(made / "model.hq.safetensors")
    nodes = run_json(["inspect", file], capsys)["nodes"]
    graph = hq.IntegerModel.load(file).graph
    assert [node["op"] for node in nodes] == [node.op for node in graph.nodes]
    assert {"conv2d", "table", "linear"} <= {node["op"] for node in nodes}
    assert main(["inspect", file]) == 0
    assert "No node is float." in capsys.readouterr().out


def test_a_file_needs_no_weights(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(made / "model.hq.safetensors")
    for command in (["inspect", file], ["evaluate", file, "--data", VAL]):
        assert main([*command, "--pretrained"]) == 1
        assert "MODEL must be a name where --checkpoint or --pretr" in capsys.readouterr().err


def test_a_damaged_file_is_named(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "m.safetensors"
    file.write_bytes((made / "model.hq.safetensors").read_bytes()[:-1])
    assert main(["evaluate", str(file), "--data", VAL]) == 1
    assert re.search(r"IntegerModel.load: .*m.safetensors: tensor .* got", capsys.readouterr().err)
