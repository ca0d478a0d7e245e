"""What tests/golden/make_images.py wrote for the C++ tests is still what hybridquant.data does."""

import hashlib
import runpy
from importlib.metadata import version
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[2] / "golden"
SCRIPT = runpy.run_path(str(GOLDEN / "make_images.py"))
FOLDER: Path = SCRIPT["FOLDER"]
MANIFEST = (FOLDER / "manifest.txt").read_text(encoding="utf-8").splitlines()
IMAGES = {path.name: path.read_bytes() for path in FOLDER.glob("*.[jp][pn]g")}
CASES = SCRIPT["cases"](IMAGES)
STARTS = [sum(3 * case.height * case.width for case in CASES[:i]) for i in range(len(CASES) + 1)]


def test_the_manifest_lists_what_is_there() -> None:
    files = {**IMAGES, "expected.bin": (FOLDER / "expected.bin").read_bytes()}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert {line for line in MANIFEST if line.startswith("file")} == {
        f"file {name} {digest}" for name, digest in hashes.items()
    }
    assert [line for line in MANIFEST if line.startswith("case")] == [f"case {c}" for c in CASES]
    assert len(files["expected.bin"]) == STARTS[-1]


@pytest.mark.parametrize("position", range(len(CASES)), ids=lambda position: str(CASES[position]))
def test_an_image_becomes_the_same_bytes(position: int) -> None:
    case = CASES[position]
    if case.image == "tall.jpg" and int(version("pillow").split(".")[0]) < 13:
        pytest.skip("Pillow before 13.0 resizes tall images in another order of passes")
    expected = (FOLDER / "expected.bin").read_bytes()[STARTS[position] : STARTS[position + 1]]
    assert case.expected(FOLDER) == expected
