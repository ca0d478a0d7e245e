"""Images in a parquet file, as on the Hugging Face hub."""

from __future__ import annotations

import bisect
import importlib
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from hybridquant.data.source import Item, Source, first_few, reject


def open_parquet(path: Path) -> Source:
    """Return the images of a parquet file, in its order, read one row group at a time.

    Args:
        path: A file with a column ``image`` of encoded images (binary, or a struct with a field
            ``bytes``) and, where they have labels, ``label`` (integers or class names).

    Raises:
        ImportError: If pyarrow is not installed.
        OSError: If the file cannot be read.
        ValueError: If it is damaged, or a column is missing, of another type, or has empty cells.
    """
    parquet = _import_parquet()
    try:
        file = parquet.ParquetFile(path)
    except ValueError as error:
        reject("source", "be a whole parquet file", f"{path} ({error})")
    columns = file.schema_arrow.names
    if "image" not in columns:
        reject("source", "have a column image", f"{path} with {first_few(columns)}")
    rows = _Rows(file, path)
    names = [f"row {i}" for i in range(file.metadata.num_rows)]
    targets = _targets(file, path) if "label" in columns else None
    return Source(names, targets, rows.read, rows.gather)


class _Rows:
    """The image column; keeps the row group that was read last."""

    def __init__(self, file: Any, path: Path) -> None:
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        self._file = file
        self._path = path
        self._starts = [0, *accumulate(sizes)]
        self._group = -1
        self._images: list[Any] = []

    def read(self, position: int) -> bytes:
        group = bisect.bisect_right(self._starts, position) - 1
        if group != self._group:
            column = self._file.read_row_group(group, columns=["image"]).column("image")
            self._images, self._group = column.to_pylist(), group
        image = self._images[position - self._starts[group]]
        content = image.get("bytes") if isinstance(image, dict) else image
        if not isinstance(content, bytes):
            got = f"{type(content).__name__} in row {position} of {self._path}"
            reject("image", "be bytes, or a struct with bytes", got)
        return content

    def gather(self, order: Sequence[int]) -> Sequence[Item]:
        found = {position: self.read(position) for position in sorted(order)}
        return [found[position] for position in order]


def _import_parquet() -> Any:
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        msg = (
            "load_data: source must be a folder, tar or npz where pyarrow is not installed, "
            "got a parquet file; run pip install 'hybridquant[parquet]'"
        )
        raise ImportError(msg) from error


def _targets(file: Any, path: Path) -> list[int] | list[str]:
    labels: list[Any] = file.read(columns=["label"]).column("label").to_pylist()
    kinds = {type(label) for label in labels}
    if kinds - {int} and kinds - {str}:
        found = first_few(sorted(kind.__name__ for kind in kinds))
        reject("label", "be integers or class names throughout", f"{found} in {path}")
    return labels
