"""What the build checks, and what the built libraries hold."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hybridquant.ops import library

ROOT = Path(__file__).parents[2]
LIBRARIES = sorted(library.LIBRARY.parent.glob("*.so"))


def test_both_libraries_are_there() -> None:
    assert len(LIBRARIES) == 2


@pytest.mark.parametrize("path", LIBRARIES, ids=lambda path: path.name.partition(".")[0])
def test_a_library_holds_no_path_of_the_machine_that_built_it(path: Path) -> None:
    content = path.read_bytes()
    folders = (ROOT, Path(torch.__file__).parent, Path(sys.prefix))
    assert [folder for folder in folders if f"{folder}/".encode() in content] == []


def configure(build: Path, python_path: Path) -> str:
    """Return what CMake says about the Python whose torch lies in ``python_path``."""
    cmake = shutil.which("cmake")
    assert cmake is not None
    run = subprocess.run(
        [cmake, "-S", ROOT, "-B", build, f"-DPython_EXECUTABLE={sys.executable}"],
        env={**os.environ, "PYTHONPATH": str(python_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    return " ".join(run.stderr.split())


@pytest.mark.parametrize("version", ["2.9.1+cpu", "1.13"])
def test_an_older_torch_is_refused(version: str, tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").touch()
    (tmp_path / "torch-0.dist-info").mkdir()
    metadata = f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n"
    (tmp_path / "torch-0.dist-info" / "METADATA").write_text(metadata, encoding="utf-8")
    said = configure(tmp_path / "build", tmp_path)
    assert f"must have torch 2.10 or later, got {version}; install it" in said
