"""``hybridquant analyze`` and ``quantize --max-drop``: what they print, write and promise."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import hybridquant as hq
from hybridquant.cli import main

TESTS = Path(__file__).parents[2]
CALIB = str(TESTS / "data" / "imagenette_calib.tar")
VAL = str(TESTS / "data" / "imagenette_val.tar")
FILES = ["analysis.csv", "analysis.html", "analysis.json", "recipe.yaml"]


class Small(nn.Module):
    """A model of the photographs' ten classes, for images of 32 x 32, that prefers no class."""

    data_config = hq.DataConfig((3, 32, 32), crop_pct=1.0)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.middle = nn.Conv2d(8, 8, 3, 2, 1)
        self.head = nn.Linear(8 * 8 * 8, 10)
        # The function stays, but one scale for all channels is too few codes for seven of them.
        with torch.no_grad():
            self.stem.weight[2] *= 100
            self.stem.bias[2] *= 100
            self.middle.weight[:, 2] /= 100

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.middle(F.relu(self.stem(x))))
        return self.head(x.flatten(1))


def command(name: str, out: Path, *more: str, recipe: str = "integer/w8a8") -> list[str]:
    return [
        *(name, f"{__name__}:Small", "--recipe", recipe, "--calib", CALIB, "--images", "16"),
        *("--threads", "1", "--out", str(out), *more),
    ]


def run_json(argv: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> Any:
    assert main([*argv, "--json"]) == code
    printed = capsys.readouterr()
    assert (printed.err == "") == (code == 0)
    return json.loads(printed.out)


def four_bits(folder: Path) -> str:
    """Return a recipe of 4 bits, which costs the small model most of its agreement."""
    text = Path(TESTS.parent / "configs" / "integer" / "w8a8.yaml").read_text()
    text = text.replace("name: integer/w8a8", "name: four").replace("bits: 8", "bits: 4")
    (folder / "four.yaml").write_text(text)
    return str(folder / "four.yaml")


def test_files_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    found = run_json(command("analyze", out, "--keep", "1", "--eval", VAL), capsys)
    assert sorted(file.name for file in out.iterdir()) == FILES
    assert found == json.loads((out / "analysis.json").read_text())
    assert (found["images"], found["probe_images"], found["eval_images"]) == (16, 16, 400)
    assert [row["path"] for row in found["operators"]] == ["stem", "", "middle", "", "head"]
    assert sorted(row["rank"] for row in found["operators"]) == [1, 2, 3, 4, 5]
    assert [row["recipe"] for row in found["figures"]] == [
        "float32",
        "integer/w8a8",
        "integer/w8a8-keep1",
    ]
    rows = list(csv.DictReader((out / "analysis.csv").read_text().splitlines()))
    assert [row["node"] for row in rows] == [row["node"] for row in found["operators"]]
    tensors = {(t["path"], t["operand"]): t for t in found["tensors"]}
    assert len(tensors["middle", "activation"]["minimum"]) == 8
    assert tensors["middle", "activation"]["largest_to_median"] > 20


def test_the_same_job_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        assert main(command("analyze", tmp_path / name)) == 0
    for file in FILES:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_recipe_quantizes_better_and_in_integers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command("analyze", tmp_path / "a", "--keep", "2")) == 0
    capsys.readouterr()
    recipe = str(tmp_path / "a" / "recipe.yaml")
    kept = run_json(command("quantize", tmp_path / "kept", recipe=recipe), capsys)
    plain = run_json(command("quantize", tmp_path / "plain"), capsys)
    assert (kept["recipe"], kept["float_nodes"]) == ("integer/w8a8-keep2", 0)
    assert kept["sqnr_db"] > plain["sqnr_db"] + 3
    assert kept["integer_sqnr_db"] > plain["integer_sqnr_db"] + 3


@pytest.mark.parametrize("name", ["analyze", "quantize"])
def test_a_drop_is_kept(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = four_bits(tmp_path)
    argv = command(name, tmp_path / "out", "--max-drop", "13", recipe=recipe)
    found = run_json(argv, capsys)["max_drop"]
    assert (found["is_reached"], found["metric"]) == (True, "agreement")
    assert found["steps"][0]["drop"] > 13 >= found["drop"]
    # The recipe gives what was promised, on its own.
    again = command("quantize", tmp_path / "q", recipe=str(tmp_path / "out" / "recipe.yaml"))
    agreement = run_json(again, capsys)["agreement"]
    assert 100 * (1 - agreement) == pytest.approx(found["drop"], abs=1e-3)


@pytest.mark.parametrize("name", ["analyze", "quantize"])
def test_a_drop_that_cannot_be_kept_is_said_and_written(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hybridquant.analysis.fallback.INPUT_BITS", 8)
    recipe = four_bits(tmp_path)
    argv = command(name, tmp_path / "out", "--max-drop", "0", "--eval", VAL, recipe=recipe)
    assert main(argv) == 1
    printed = capsys.readouterr()
    assert f"{name}: --max-drop must be kept, got a drop of" in printed.err
    assert "points of top-1 at best, 0 allowed, with everything raised" in printed.err
    assert "weights raised: 0, inputs raised: 0; drop" in printed.out
    assert (tmp_path / "out" / "recipe.yaml").exists()


def test_images_without_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photographs = tmp_path / "photographs"
    shutil.unpack_archive(CALIB, tmp_path / "all")
    photographs.mkdir()
    for number, file in enumerate(sorted((tmp_path / "all").rglob("*.*"))[:12]):
        shutil.copy(file, photographs / f"{number}{file.suffix}")
    argv = command("analyze", tmp_path / "out", "--eval", str(photographs))
    argv[argv.index("--calib") + 1] = str(photographs)
    argv[argv.index("--images") + 1] = "8"
    found = run_json(argv, capsys)
    assert found["figures_measured_on"] == "Measured on 12 evaluation images without labels."
    assert {row["top-1 %"] for row in found["figures"]} == {"-"}


MISTAKES = [
    (["--max-drop", "-1"], 2, "--max-drop: must be a number of at least 0, got '-1'"),
    (["--max-drop", "two"], 2, "--max-drop: must be a number of at least 0, got 'two'"),
    (["--max-drop", "1", "--keep", "3"], 1, "--keep must not be given with --max-drop"),
    (["--max-drop", "1", "--keep-bits", "8"], 1, "--keep-bits must not be given with --max-drop"),
    (["--keep", "0"], 2, "--keep: must be a whole number of at least 1, got '0'"),
    (["--keep-bits", "8"], 1, "bits must be above those of the 5 most sensitive operators, got 8"),
    (["--eval", "/nowhere"], 1, "source must exist, got /nowhere"),
]


@pytest.mark.parametrize(("more", "code", "sentence"), MISTAKES)
def test_mistakes(
    more: list[str], code: int, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = command("analyze", tmp_path / "out", *more)
    if code == 2:
        with pytest.raises(SystemExit) as exit_info:
            main(argv)
        assert exit_info.value.code == 2
    else:
        assert main(argv) == code
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
