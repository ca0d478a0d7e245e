"""The build of the runner, and a small integer model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from small_model import Small, make_small

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def build() -> Path:
    """Return the folder of a CMake build that has the runner; HYBRIDQUANT_BUILD names it."""
    named = os.environ.get("HYBRIDQUANT_BUILD")
    folder = Path(named) if named else ROOT / "build" / "dev"
    if named is None and not (folder / "hybridquant-run").exists():
        pytest.skip("no runner is built; run: cmake --preset dev && cmake --build --preset dev")
    return folder


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return make_small(tmp_path_factory.mktemp("small models"))
