"""The container of integer models: safetensors, with the graph as text beside the tensors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from hybridquant.export.json_fields import parse_json, record, short
from hybridquant.recipe.field_error import FieldError, check

FORMAT = "hybridquant-integer"
VERSION = "1"
_LARGEST_HEADER = 2**24
_PREFIX = 8
_DTYPES = {
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
}


def file_bytes(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """Return the file of a graph; equal graphs have equal bytes.

    Args:
        document: The graph as plain data.
        tensors: Its tensors by key, of the types that the format has.

    Raises:
        FieldError: If the header is too large.
    """
    text = json.dumps(
        document, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    )
    metadata = {"format": FORMAT, "graph": text, "version": VERSION}
    # A tensor that shares its memory with another would be refused.
    stored = {
        key: value.clone(memory_format=torch.contiguous_format).cpu()
        for key, value in tensors.items()
    }
    data: bytes = safetensors.torch.save(stored, metadata)
    begin = _PREFIX + int.from_bytes(data[:_PREFIX], "little")
    # The library writes the metadata in an order that changes from run to run.
    header = {**json.loads(data[_PREFIX:begin]), "__metadata__": metadata}
    content = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    content += b" " * (-len(content) % 8)
    _check_length(len(content))
    return len(content).to_bytes(_PREFIX, "little") + content + data[begin:]


def file_content(data: bytes) -> tuple[Any, dict[str, Tensor]]:
    """Return the graph of a file as plain data that nothing is known of, and the tensors by key.

    Raises:
        FieldError: If it is no safetensors file, or not one of this format and version.
    """
    length = int.from_bytes(data[:_PREFIX], "little")
    _check_length(length)
    try:
        entries = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        problem = FieldError("file", f"must be a whole safetensors file, got {error}")
        raise problem from error
    header = parse_json("header", data[_PREFIX : _PREFIX + length])
    metadata = header.get("__metadata__", {})
    for key, wanted in (("format", FORMAT), ("version", VERSION)):
        got = metadata.get(key)
        hint = "another version of hybridquant wrote it" if key == "version" else ""
        check(got == wanted, f"__metadata__.{key}", f"be {wanted!r}", short(got), hint)
    record("__metadata__", metadata, ("format", "version", "graph"))
    tensors = {key: _tensor(key, entry) for key, entry in entries}
    return parse_json("graph", metadata["graph"]), tensors


def _check_length(length: int) -> None:
    requirement = f"have at most {_LARGEST_HEADER} bytes"
    check(length <= _LARGEST_HEADER, "header", requirement, length)


def _tensor(key: str, entry: Mapping[str, Any]) -> Tensor:
    dtype, shape = entry["dtype"], entry["shape"]
    check(dtype in _DTYPES, f"tensor {key}", f"be of {', '.join(_DTYPES)}", dtype)
    check(math.prod(shape) > 0, f"tensor {key}", "have elements", shape)
    return torch.frombuffer(bytearray(entry["data"]), dtype=_DTYPES[dtype]).reshape(shape)
