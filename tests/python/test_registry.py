"""The folder-scanning registry."""

import importlib
import threading
import time
from pathlib import Path

import pytest

from hybridquant.registry import Registry

COLOUR = "from {package} import THINGS\n\n@THINGS.register('{name}')\nclass {name}: pass\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a package of two things, whose name no other test has."""
    package = tmp_path / f"things_{tmp_path.name}"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("red", "green"):
        (package / f"{name}.py").write_text(COLOUR.format(package=package.name, name=name))
    return package


@pytest.fixture
def scanned(package: Path) -> Registry[type]:
    (package / "__init__.py").write_text(
        "from hybridquant.registry import Registry\nTHINGS = Registry('thing', __name__)\n"
    )
    things: Registry[type] = importlib.import_module(package.name).THINGS
    return things


def test_finds_every_file_of_the_folder(scanned: Registry[type]) -> None:
    assert scanned.names() == ["green", "red"]
    assert scanned["red"].__name__ == "red"


def test_unknown_name_gets_the_closest(scanned: Registry[type]) -> None:
    with pytest.raises(ValueError, match="unknown thing 'gren'; did you mean green"):
        scanned["gren"]


def test_a_name_is_taken_once(scanned: Registry[type]) -> None:
    with pytest.raises(ValueError, match="thing 'red' is registered twice"):
        scanned.names() and scanned.register("red")(int)


def test_a_file_that_cannot_be_imported_says_so_at_every_use(
    scanned: Registry[type], package: Path
) -> None:
    name = "grey"  # comes before red, which must not be missing afterwards
    (package / "grey.py").write_text(COLOUR.format(package=package.name, name=name) + "1 / 0\n")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            scanned.names()
    (package / "grey.py").unlink()
    importlib.invalidate_caches()
    assert scanned.names() == ["green", "red"]


def test_a_thread_waits_until_another_has_scanned(scanned: Registry[type], package: Path) -> None:
    for file in ("green", "red"):
        with (package / f"{file}.py").open("a") as source:
            source.write("import time\ntime.sleep(0.1)\n")
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append(scanned.names())) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert found == [["green", "red"]] * 2
