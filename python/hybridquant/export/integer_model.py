"""Integer model files: an IntGraph in one file that is read without torch (docs/format.md)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hybridquant.data import DataConfig
from hybridquant.export.files import check_file_path, write_atomically
from hybridquant.export.integer_file import file_bytes, file_content
from hybridquant.export.integer_graph import Preprocessing, graph_to_data
from hybridquant.export.integer_reader import graph_from_data
from hybridquant.lower.int_graph import IntGraph
from hybridquant.recipe.field_error import FieldError, check


def save_integer_model(
    graph: IntGraph, path: str | Path, config: DataConfig, classes: Sequence[str] = ()
) -> None:
    """Write an integer model as a file that ``load_integer_model`` and C++ read.

    The same graph gives the same bytes. What is written is read back first, so no file is made
    that cannot be loaded.

    Args:
        graph: As ``lower`` returns it.
        path: The file to write; written under a temporary name, then renamed.
        config: How photographs become images of the graph's size. Its mean and std must be those
            that the graph was lowered with; they are not stored, for the graph reads bytes.
        classes: Name of each logit, or none.

    Raises:
        OSError: If the folder of ``path`` does not exist or cannot be written.
        FieldError: If the graph, the config or the classes do not fit the format or each other;
            the text names the field.
    """
    check_file_path("save_integer_model", path)
    write_atomically(Path(path), _checked_bytes("save_integer_model", graph, config, classes))


def integer_model_bytes(graph: IntGraph, config: DataConfig, classes: Sequence[str] = ()) -> bytes:
    """Return the file that ``save_integer_model`` writes, from the same arguments.

    Raises:
        FieldError: As for ``save_integer_model``.
    """
    return _checked_bytes("integer_model_bytes", graph, config, classes)


def load_integer_model(path: str | Path) -> tuple[IntGraph, Preprocessing, tuple[str, ...]]:
    """Return the graph of an integer model file, its preprocessing and the names of its logits.

    The graph equals the one that was saved, tensor for tensor.

    Raises:
        OSError: If the file does not exist or cannot be read.
        FieldError: If it is no integer model, or a field of it is not as docs/format.md has it; the
            text names the field, what it must be, what it is, and what wrote the file.
    """
    return _read("load_integer_model", Path(path).read_bytes(), f"{path}: ")


def parse_integer_model(data: bytes) -> tuple[IntGraph, Preprocessing, tuple[str, ...]]:
    """Return what ``load_integer_model`` does, from the bytes of a file.

    Raises:
        FieldError: As for ``load_integer_model``.
    """
    return _read("parse_integer_model", data, "")


def _read(
    function: str, data: bytes, place: str
) -> tuple[IntGraph, Preprocessing, tuple[str, ...]]:
    document: object = None
    try:
        document, tensors = file_content(data)
        return graph_from_data(document, tensors)
    except FieldError as error:
        producer = document.get("producer") if isinstance(document, dict) else None
        by = f" (written by {producer[:40]})" if isinstance(producer, str) else ""
        where = f"{function}: {place}{error.path}"
        raise FieldError(where, error.text + by) from error


def _checked_bytes(
    function: str, graph: IntGraph, config: DataConfig, classes: Sequence[str]
) -> bytes:
    try:
        return _bytes(graph, config, classes)
    except FieldError as error:
        where = f"{function}: {error.path}"
        raise error.at(where) from error


def _bytes(graph: IntGraph, config: DataConfig, classes: Sequence[str]) -> bytes:
    for name, tensor in graph.tensors.items():
        check(tensor.name == name, f"graph.tensors[{name!r}]", "have its own name", tensor.name)
    document, tensors = graph_to_data(graph, config, classes)
    _, preprocessing, _ = graph_from_data(document, tensors)
    size, wanted = tuple(config.input_size), preprocessing.input_size
    check(size == wanted, "config.input_size", f"be the graph's {wanted}", size)
    return file_bytes(document, tensors)
