"""The folder of finished cells: what is in it is never computed again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybridquant.comparison.cell import Cell
from hybridquant.export.files import write_atomically

Figures = Mapping[str, Any]


class CellStore:
    """Finished cells as files ``<key>.json`` in one folder, each whole or not there.

    A float32 cell has its logits beside it, which the cells of the model's recipes read.

    Args:
        folder: The folder; made when missing.

    Raises:
        OSError: If the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._folder.mkdir(parents=True, exist_ok=True)

    def load(self, cell: Cell) -> Figures | None:
        """Return the figures of a finished cell; None where it is not finished, or damaged."""
        try:
            found = json.loads(self._file(cell).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(found, dict) or found.get("inputs") != cell.inputs:
            return None
        if cell.baseline is None and not self.logits_file(cell).is_file():
            return None
        figures: Figures = found["figures"]
        return figures

    def save(self, cell: Cell, figures: Figures) -> None:
        """Write a finished cell.

        Raises:
            OSError: If the folder cannot be written.
        """
        content = {"cell": cell.label, "inputs": cell.inputs, "figures": figures}
        text = json.dumps(content, sort_keys=True, allow_nan=False)
        write_atomically(self._file(cell), f"{text}\n".encode())

    def logits_file(self, cell: Cell) -> Path:
        """Return where the logits of a float32 cell lie."""
        return self._folder / f"{cell.key}.logits.safetensors"

    def log_file(self, cell: Cell) -> Path:
        """Return where a cell's process writes what it says; kept where the cell fails."""
        return self._folder / f"{cell.key}.log"

    def _file(self, cell: Cell) -> Path:
        return self._folder / f"{cell.key}.json"
