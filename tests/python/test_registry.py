"""The folder-scanning registry."""

from pathlib import Path

import pytest

from hybridquant.registry import Registry


@pytest.fixture
def scanned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[type]:
    package = tmp_path / "scanned_things"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from hybridquant.registry import Registry\nTHINGS = Registry('thing', __name__)\n"
    )
    for name in ("red", "green"):
        (package / f"{name}.py").write_text(
            f"from scanned_things import THINGS\n\n@THINGS.register('{name}')\nclass {name}: pass\n"
        )
    monkeypatch.syspath_prepend(str(tmp_path))
    import scanned_things

    return scanned_things.THINGS


def test_finds_every_file_of_the_folder(scanned: Registry[type]) -> None:
    assert scanned.names() == ["green", "red"]
    assert scanned["red"].__name__ == "red"


def test_unknown_name_gets_the_closest(scanned: Registry[type]) -> None:
    with pytest.raises(ValueError, match="unknown thing 'gren'; did you mean green"):
        scanned["gren"]


def test_a_name_is_taken_once(scanned: Registry[type]) -> None:
    with pytest.raises(ValueError, match="thing 'red' is registered twice"):
        scanned.names() and scanned.register("red")(int)
