"""The program of docs/embedding.md builds as the page says, and prints what Python computes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from small_model import CLASSES, Small

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "images"
PAGE = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
PROSE = re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL)
# What is built already: only the rest of the commands is done here.
COMMANDS = "".join(
    line
    for line in re.findall(r"^ {4}(.*\n)", PROSE, re.MULTILINE)
    if not line.startswith(("cmake -S", "cmake --build"))
)
BUILD_WITH_CMAKE = (
    'cmake -S . -B build -DCMAKE_PREFIX_PATH="$prefix" >&2\ncmake --build build >&2\n'
)
WAYS = {
    "compiler": COMMANDS,
    "cmake": re.sub(r"cc -std.*?-o run\n", BUILD_WITH_CMAKE, COMMANDS).replace(
        "./run", "build/run"
    ),
}


def block(language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return text


def test_the_program_is_short() -> None:
    assert len(block("c").splitlines()) <= 40


@pytest.mark.parametrize("way", WAYS)
def test_the_program_prints_what_python_computes(
    way: str, build: Path, small: Small, tmp_path: Path
) -> None:
    assert ("cc -std" in WAYS[way]) == (way == "compiler")
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "run.c").write_text(block("c"), encoding="utf-8")
    (folder / "CMakeLists.txt").write_text(block("cmake"), encoding="utf-8")
    (folder / "model.hq.safetensors").symlink_to(small.path)
    (folder / "image.bin").write_bytes(small.images[4].tobytes())
    (folder / "photo.jpg").symlink_to(GOLDEN / "photo.jpg")
    (folder / "other.png").symlink_to(GOLDEN / "rgb8.png")
    run = subprocess.run(
        ["bash", "-euc", WAYS[way].replace("build/embedding", shlex.quote(str(build)))],
        cwd=folder,
        env={
            **os.environ,
            "HOME": str(folder),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "\nphoto.jpg\n" in run.stdout
    assert "\nother.png\n" in run.stdout
    printed = run.stdout.splitlines()[-1]
    codes, info = small.codes[4], small.model.describe()
    best = int(codes.argmax())
    name, logit = printed.rsplit(" ", 1)
    assert name == CLASSES[best]
    exact = info["logit_scale"] * (int(codes[best]) - info["logit_zero_point"])
    assert float(logit) == pytest.approx(exact, rel=1e-8)
    shown = {
        str(path.relative_to(folder / "hybridquant")) for path in folder.glob("hybridquant/**/*")
    }
    assert {
        "bin/hybridquant-run",
        "include/hybridquant.h",
        "lib/libhybridquant_runtime.so",
    } <= shown


def test_the_program_says_what_is_wrong(build: Path, small: Small, tmp_path: Path) -> None:
    (tmp_path / "run.c").write_text(block("c"), encoding="utf-8")
    header = ROOT / "csrc" / "runtime"
    command = f"cc run.c -I'{header}' -L'{build}' -Wl,-rpath,'{build}' -lhybridquant_runtime -o run"
    subprocess.run(["bash", "-euc", command], cwd=tmp_path, check=True)
    for arguments, error in (
        ([], "usage: run MODEL IMAGE"),
        (["none", "none"], "none: cannot be opened"),
        ([small.path, "none"], "IMAGE must be a file of channels * height * width bytes"),
    ):
        run = subprocess.run(
            [tmp_path / "run", *arguments], capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stderr) == (1, f"error: {error}\n")
