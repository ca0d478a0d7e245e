"""The program of docs/torchscript.md builds as the page says, and prints what Python computes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import hybridquant as hq

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "torchscript.md").read_text(encoding="utf-8")
RECIPE = "integer/w8a8"
PROSE = re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL)
COMMANDS = "".join(re.findall(r"^ {4}(.*\n)", PROSE, re.MULTILINE))
BUILD_WITH_CMAKE = '{ cmake -S . -B build -Dtorch="$torch" && cmake --build build; } >&2\n'
WAYS = {
    "compiler": COMMANDS,
    "cmake": re.sub(r"g\+\+.*?-o run\n", BUILD_WITH_CMAKE, COMMANDS, flags=re.DOTALL).replace(
        "./run", "build/run"
    ),
}


def block(language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the page's files, the default in both forms, and what Python prints."""
    folder = tmp_path_factory.mktemp("a folder")
    model = hq.load_model(hq.default_model_name())
    data = hq.load_data(
        ROOT / "tests" / "data" / "imagenette_calib.tar", model.data_config, num_images=8
    )
    images = next(iter(data.batches(8)))[0]
    graph = hq.quantize(model.module, images, RECIPE)
    hq.save_torchscript(graph, folder / "model.fakequant.pt", images[:2])
    integer = hq.to_integer(graph, model.data_config)
    integer.save_torchscript(folder / "model.int8.pt")
    (sizes,) = re.findall(r"torch::zeros\(\{(.*?)\}", block("cpp"))
    zeros = torch.zeros([int(size) for size in sizes.split(",")])
    with torch.inference_mode():
        expected = torch.cat([graph(zeros), integer(zeros.byte())])
    torch.save(expected, folder / "expected.pth")
    (folder / "run.cpp").write_text(block("cpp"), encoding="utf-8")
    (folder / "CMakeLists.txt").write_text(block("cmake"), encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_the_program_prints_what_python_computes(way: str, folder: Path) -> None:
    assert ("g++" in WAYS[way]) == (way == "compiler")
    assert shutil.which("g++"), "the page's compiler must be installed"
    run = subprocess.run(
        ["bash", "-euc", WAYS[way]],
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    printed = [float(number) for number in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", run.stdout)]
    expected = torch.load(folder / "expected.pth").flatten()
    # Four digits are printed.
    torch.testing.assert_close(torch.tensor(printed), expected, rtol=0, atol=1e-4)
