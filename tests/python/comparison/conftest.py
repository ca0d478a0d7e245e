"""A comparison that takes seconds: a tiny model, tiny images, recipes of its own."""

from pathlib import Path

import numpy as np
import pytest

RECIPE = """name: {name}
description: Everything that multiplies in {bits} bits.
rules:
  - {{operators: [conv2d, linear, matmul], operand: all, bits: {bits}, observer: minmax}}
passes: [observe]
"""


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Return a folder, with a space in its path, of images with labels and without, and recipes."""
    folder = tmp_path / "in puts"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, count in (("calib", 8), ("eval", 12)):
        x = random.integers(0, 256, size=(count, 16, 16, 3), dtype=np.uint8)
        np.savez(folder / f"{name}.npz", x=x, y=np.arange(count) % 5)
    for bits in (2, 8):
        text = RECIPE.format(name=f"w{bits}a{bits}", bits=bits)
        (folder / f"w{bits}a{bits}.yaml").write_text(text, encoding="utf-8")
    return folder
