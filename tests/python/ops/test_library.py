from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from torch import Tensor

from hybridquant.ops import build_info, info, library


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


def import_from(folder: Path) -> subprocess.CompletedProcess[str]:
    """Return the failed import of the package that lies in ``folder``."""
    run = subprocess.run(
        [sys.executable, "-c", "import hybridquant"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    assert run.returncode == 1
    return run


def test_importing_without_the_library_is_one_sentence(tmp_path: Path) -> None:
    package = Path(library.__file__).parents[1]
    shutil.copytree(
        package, tmp_path / "hybridquant", ignore=shutil.ignore_patterns("*.so", "*.safetensors")
    )
    run = import_from(tmp_path)
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: hybridquant: the compiled library must be at")
    assert str(tmp_path) in last
    assert "OSError" not in run.stderr


def stale(x: Tensor, scale: Tensor) -> Tensor:
    return x * scale


def test_a_library_without_an_operator_is_an_import_error() -> None:
    with pytest.raises(ImportError) as error:
        library.check_operators({"fake_quant_lattice": stale})
    expected = "must have the operator fake_quant_lattice(x, scale), but has none of this name; "
    assert expected + library.REINSTALL in one_sentence(error)


def test_a_library_with_other_arguments_is_an_import_error() -> None:
    with pytest.raises(ImportError) as error:
        library.check_operators({"dequantize_affine": stale})
    expected = (
        "but has dequantize_affine(q, scale, zero_point, channel_axis); reinstall hybridquant"
    )
    assert expected in one_sentence(error)


def test_importing_with_an_older_library_is_one_sentence(tmp_path: Path) -> None:
    package = Path(library.__file__).parents[1]
    shutil.copytree(
        package, tmp_path / "hybridquant", ignore=shutil.ignore_patterns("lib*.so", "*.safetensors")
    )
    older = tmp_path / "hybridquant" / library.LIBRARY.name
    subprocess.run(["c++", "-shared", "-fPIC", "-x", "c++", os.devnull, "-o", older], check=True)
    last = import_from(tmp_path).stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: hybridquant: the compiled library must have the operator")
    assert last.endswith(library.REINSTALL)


def test_a_module_of_another_version_is_an_import_error() -> None:
    built = build_info()["version"]
    for same in (built, f"{built}rc1", f"{built}.dev3"):
        info.check_version(same)
    for other in (f"{built}0", "99.0.0"):
        with pytest.raises(ImportError) as error:
            info.check_version(other)
        assert f"must be of version {other}, but it is of {built}; {library.REINSTALL}" in (
            one_sentence(error)
        )


def test_build_info() -> None:
    info = build_info()
    assert info["torch_target"] == ".".join(map(str, library.OLDEST_TORCH))
    assert info["isa"] == info["available_isas"][-1]
