"""docs/operators.md and the code list the same operators."""

import re
from pathlib import Path

from hybridquant.capture.vocabulary import KINDS, LAYOUT_KINDS, OPERATORS, STRUCTURAL_KINDS

DOCUMENT = Path(__file__).parents[3] / "docs" / "operators.md"


def documented():
    rows = re.findall(r"^\| `(\w+)` \| (`[^|]*) \|", DOCUMENT.read_text(), re.MULTILINE)
    return {kind: set(re.findall(r"`([^`]+)`", operators)) for kind, operators in rows}


def name(operator):
    if hasattr(operator, "_schema"):
        return str(operator)
    return f"{operator.__module__}.{operator.__name__}"


def test_document_lists_every_operator():
    listed = {}
    for operator, kind in OPERATORS.items():
        listed.setdefault(kind, set()).add(name(operator))
    assert documented() == listed


def test_kinds_are_apart():
    assert LAYOUT_KINDS <= KINDS
    assert not STRUCTURAL_KINDS & KINDS
