"""What the documents point to exists: links, files, commands and their options."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from hybridquant.cli import COMMANDS, main

ROOT = Path(__file__).parents[3]
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "configs/README")),
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("notebooks/*.ipynb")),
]
FOLDERS = "csrc|python|tests|configs|scripts|docs|notebooks"


def text_of(page: Path) -> str:
    """Return the text of a page; of a notebook, its Markdown cells."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def links(page: Path) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", text_of(page))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """Return the anchors that headings make: lower case, hyphens, no punctuation."""
    titles = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}


def inline_code(page: Path) -> list[str]:
    prose = re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]


def commands(page: Path) -> list[str]:
    """Return the commands of a page: inline code, and code lines with their continuations."""
    lines = re.sub(r"\\\n\s*", "", text_of(page)).splitlines()
    code = [line.strip() for line in lines if line.startswith("    ")]
    parts = [
        part for line in [*code, *inline_code(page)] for part in re.split(r" && | \|\|? ", line)
    ]
    return [re.split(r" > |\s+# ", part)[0].replace("\\|", "|") for part in parts]


CASES = [(page, command) for page in PAGES for command in commands(page)]
HYBRIDQUANT = [(p, c) for p, c in CASES if re.match(r"(python -m )?hybridquant [a-z-]", c)]
SCRIPTS = [(p, c) for p, c in CASES if re.match(r"(bash|python) \S+\.(sh|py)\b", c)]
PRESETS = [(p, c) for p, c in CASES if re.search(r"--preset \w", c)]


def case_id(value: object) -> str:
    return value.name if isinstance(value, Path) else str(value)


@pytest.mark.parametrize("page", PAGES, ids=case_id)
def test_links_and_files_exist(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
    for code in inline_code(page):
        if re.fullmatch(rf"({FOLDERS})/[\w./*-]*", code):
            assert any(ROOT.glob(code.rstrip("/"))), code


@pytest.mark.parametrize(("page", "command"), HYBRIDQUANT, ids=case_id)
def test_a_hybridquant_command_parses(
    page: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in COMMANDS.names():
        monkeypatch.setattr(COMMANDS[name], "run", lambda _self, _args, _say: ("", None))
    arguments = shlex.split(command.partition("hybridquant ")[2])
    if len(arguments) > 1:
        assert main(arguments) == 0
    else:  # only named, as in "`hybridquant quantize` writes ..."
        assert set(arguments[0].split("|")) <= set(COMMANDS.names())


@pytest.mark.parametrize(("page", "command"), SCRIPTS, ids=case_id)
def test_a_script_exists_and_knows_its_options(page: Path, command: str) -> None:
    _, script, *arguments = shlex.split(command)
    source = (ROOT / script).read_text(encoding="utf-8")
    for option in (argument for argument in arguments if argument.startswith("--")):
        assert f'"{option}"' in source, option


@pytest.mark.parametrize(("page", "command"), PRESETS, ids=case_id)
def test_a_preset_exists(page: Path, command: str) -> None:
    presets = json.loads((ROOT / "CMakePresets.json").read_text(encoding="utf-8"))
    kind = {"cmake --preset": "configure", "cmake --build": "build", "ctest --preset": "test"}
    names = {p["name"] for p in presets[f"{kind[' '.join(command.split()[:2])]}Presets"]}
    assert command.split("--preset ")[1].split()[0] in names


def test_there_is_something_to_check() -> None:
    assert sum(len(links(page)) for page in PAGES) > 15
    assert len(HYBRIDQUANT) > 10
    assert len(SCRIPTS) > 5
    assert len(PRESETS) > 3
