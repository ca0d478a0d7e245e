"""How the program starts: compiled parts that do not fit, the working directory, Ctrl-C."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import hybridquant
from hybridquant.cli import main
from hybridquant.ops.library import LIBRARY

CONSOLE = ["-c", "import sys, hybridquant_cli; sys.exit(hybridquant_cli.main())"]
OWN_MODEL = "import torch\n\ndef make():\n    return torch.nn.Conv2d(3, 2, 3)\n"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package, without its compiled parts and weights."""
    package = Path(hybridquant.__file__).parent
    ignored = shutil.ignore_patterns("*.so", "*.pyc", "*.safetensors")
    shutil.copytree(package, tmp_path / "copy" / "hybridquant", ignore=ignored)
    shutil.copy(package.parent / "hybridquant_cli.py", tmp_path / "copy")
    return tmp_path / "copy"


def start(folder: Path, program: list[str]) -> subprocess.Popen[str]:
    """Start ``hybridquant list recipes`` with the package that lies in ``folder``."""
    return subprocess.Popen(
        [sys.executable, *program, "list", "recipes"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )


@pytest.mark.parametrize("library", [None, b"another machine's"], ids=["missing", "mismatching"])
@pytest.mark.parametrize("program", [CONSOLE, ["-m", "hybridquant"], ["-Bmhybridquant"]], ids=str)
def test_a_library_that_does_not_fit_is_one_sentence(
    copy: Path, program: list[str], library: bytes | None
) -> None:
    if library is not None:
        (copy / "hybridquant" / LIBRARY.name).write_bytes(library)
    process = start(copy, program)
    printed, errors = process.communicate()
    assert process.returncode == 1
    assert printed == ""
    assert errors.startswith("hybridquant: error: hybridquant: ")
    assert "reinstall hybridquant" in errors
    assert errors.count("\n") == 1


def test_importing_the_package_elsewhere_raises(copy: Path) -> None:
    (copy / "other.py").write_text("import hybridquant")
    process = start(copy, ["-m", "other", "hybridquant"])
    assert "\nImportError: hybridquant: the compiled library" in process.communicate()[1]


@pytest.mark.parametrize("program", [CONSOLE, ["-m", "hybridquant"]], ids=str)
def test_an_interrupted_import_is_one_sentence(copy: Path, program: list[str]) -> None:
    waiting = "import sys, time\nsys.stdout.write('here\\n')\nsys.stdout.flush()\ntime.sleep(60)\n"
    (copy / "hybridquant" / "calibration.py").write_text(waiting)
    process = start(copy, program)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == "hybridquant: error: interrupted; nothing was written\n"
    assert process.returncode == 130


def test_only_a_factory_is_looked_for_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_model.py").write_text(OWN_MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != ""])
    before = list(sys.path)
    assert main(["list", "recipes"]) == 0
    assert main(["inspect", "timm:no_such_net"]) == 1
    assert sys.path == before
    assert main(["inspect", "own_model:make"]) == 0
    assert sys.path == ["", *before]
    assert "conv2d" in capsys.readouterr().out


def test_the_working_directory_may_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    assert main(["list", "recipes"]) == 0


def test_closed_output_is_no_defect() -> None:
    program = f"{shlex.quote(sys.executable)} -m hybridquant"
    assert subprocess.call(f"{program} list quantizers >&-", shell=True) == 0
    assert subprocess.call(f"{program} inspect nothing >&- 2>&-", shell=True) == 1


def test_a_full_disk_is_one_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "hybridquant", "list", "quantizers", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert process.returncode == 1
    assert process.stderr == "hybridquant: error: No space left on device\n"
