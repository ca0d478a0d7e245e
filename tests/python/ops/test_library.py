from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hybridquant.ops import build_info, library


def one_sentence(error: pytest.ExceptionInfo[ImportError]) -> str:
    text = str(error.value)
    assert text.startswith("hybridquant: ")
    assert "\n" not in text
    return text


def test_a_missing_library_is_an_import_error(tmp_path: Path) -> None:
    with pytest.raises(ImportError) as error:
        library.load_library(tmp_path / "libhybridquant_ops.so")
    assert "it is missing; reinstall hybridquant" in one_sentence(error)


@pytest.mark.parametrize("content", [b"", b"not a library", b"\x7fELF" + bytes(100)], ids=repr)
def test_a_corrupt_library_is_an_import_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "libhybridquant_ops.so"
    path.write_bytes(content)
    with pytest.raises(ImportError) as error:
        library.load_library(path)
    assert f"cannot load {path}" in one_sentence(error)
    assert "reinstall hybridquant" in one_sentence(error)


@pytest.mark.parametrize("version", ["1.13.1", "2.9.1+cpu"])
def test_an_older_torch_is_an_import_error(version: str) -> None:
    with pytest.raises(ImportError) as error:
        library.load_library(torch_version=version)
    expected = f"torch must be 2.10 or later, got {version}; upgrade torch"
    assert one_sentence(error) == f"hybridquant: {expected}"


@pytest.mark.parametrize("version", ["2.10.0", "2.11.0+cpu", "2.15.0a0+git1234", "3.0.0"])
def test_newer_torches_pass(version: str) -> None:
    library.load_library(torch_version=version)


def test_importing_without_the_library_is_one_sentence(tmp_path: Path) -> None:
    package = Path(library.__file__).parents[1]
    shutil.copytree(
        package, tmp_path / "hybridquant", ignore=shutil.ignore_patterns("*.so", "*.safetensors")
    )
    run = subprocess.run(
        [sys.executable, "-c", "import hybridquant"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: hybridquant: the compiled library must be at")
    assert str(tmp_path) in last
    assert "OSError" not in run.stderr


def test_build_info() -> None:
    info = build_info()
    assert info["torch_target"] == ".".join(map(str, library.OLDEST_TORCH))
    assert info["isa"] == info["available_isas"][-1]
