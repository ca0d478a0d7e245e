"""docs/house.md says what import-linter checks, and names every room there is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")


def test_the_layers_are_those_that_are_checked() -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no TOML reader")
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (contract,) = (c for c in tools["importlinter"]["contracts"] if c["type"] == "layers")
    checked = [set(layer.split(" | ")) for layer in reversed(contract["layers"])]
    (text,) = re.findall(r"^    (distributed < .*?)\n\n", PAGE, re.MULTILINE | re.DOTALL)
    written = [set(layer.split(", ")) for layer in " ".join(text.split()).split(" < ")]
    assert written == checked


@pytest.mark.parametrize("parent", ["csrc", "python/hybridquant"])
def test_every_room_is_named(parent: str) -> None:
    rooms = {f.name for f in (ROOT / parent).iterdir() if f.is_dir() and f.name != "__pycache__"}
    rows = "\n".join(line for line in PAGE.splitlines() if line.startswith("|"))
    assert {
        room for room in rooms if f"/{room}/`" not in rows and f"`{room}/`" not in rows
    } == set()
