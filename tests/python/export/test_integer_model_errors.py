"""Whatever is wrong in an integer model file is refused, and the field named."""

import json
import random
import re

import pytest
import safetensors.torch
import torch
from integer_graphs import CLASSES, SMALL, small_graph
from wrong_fields import DELETED, NO_FIT, WRONG

from hybridquant.export import load_integer_model, save_integer_model
from hybridquant.export.integer_file import file_content
from hybridquant.recipe.field_error import FieldError


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    file = tmp_path_factory.mktemp("saved") / "m"
    save_integer_model(small_graph(), file, SMALL, CLASSES)
    return file.read_bytes()


def change(document, place, value):
    """Put ``value`` at a dotted place of a document."""
    *path, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    for part in path:
        document = document[part]
    if value is DELETED:
        del document[last]
    else:
        document[last] = value


def written(file, document, tensors, **metadata):
    texts = {"format": "hybridquant-integer", "version": "1", "graph": json.dumps(document)}
    texts = {key: text for key, text in {**texts, **metadata}.items() if text is not None}
    safetensors.torch.save_file(tensors, file, texts or None)
    return file


def error_of(file):
    with pytest.raises(FieldError) as caught:
        load_integer_model(file)
    where, text = f"load_integer_model: {file}: ", str(caught.value)
    assert text.startswith(where)
    assert len(text) < 1000
    return text.removeprefix(where)


@pytest.mark.parametrize("case", WRONG, ids=lambda case: f"{case[0]}-{case[1]!s:.12}")
def test_a_wrong_field_is_named(case, saved, tmp_path):
    place, value, requirement, *rest = case
    field = rest[0] if rest else re.sub(r"\.(\d+)", r"[\1]", place)
    document, tensors = file_content(saved)
    change(document, place, value)
    error = error_of(written(tmp_path / "m", document, tensors))
    assert error.startswith(f"{field} must {requirement}")
    assert ", got " in error
    assert error.endswith(f" (written by {document['producer']})" if place != "producer" else "")


def replaced(key, value):
    """Return a change of a file's tensors: another one, or one made of the one there."""

    def change(tensors):
        tensors[key] = (value(tensors[key].clone()) if callable(value) else value).contiguous()

    return change


def first(number):
    """Return a function that puts ``number`` in the first place of a vector."""

    def change(value):
        value[0] = number
        return value

    return change


WRONG_TENSORS = [
    (lambda t: t.pop("nodes.1.bias"), "nodes[1].constants.bias must be the key of a tensor of the"),
    (lambda t: t.pop("tensors.place"), "tensors[3].value must be the key of a tensor of the file"),
    (replaced("nodes.1.a", torch.ones(1).byte()), "file must have no tensors that the graph does"),
    (
        replaced("nodes.1.bias", torch.ones(2)),
        "tensor nodes.1.bias must be of U8, I8, I16, I32, I6",
    ),
    (
        replaced("nodes.1.bias", torch.ones(2) > 0),
        "tensor nodes.1.bias must be of U8, I8, I16, I32",
    ),
    (replaced("nodes.1.bias", torch.ones(0).int()), "tensor nodes.1.bias must have elements, got"),
    (replaced("nodes.1.bias", lambda t: t.long()), "nodes[1].constants.bias must be of int32, got"),
    (replaced("tensors.place", lambda t: t.int()), "tensors[3].value must be of int16, got"),
    (
        replaced("nodes.1.bias", torch.ones(3).int()),
        "nodes[1].constants.bias must have shape [out_channels] with out_channels = 2, got [3]",
    ),
    (
        replaced("nodes.0.table", lambda t: t.flatten()),
        "nodes[0].constants.table must have shape [channels, codes], got [768]",
    ),
    (
        replaced("nodes.0.table", lambda t: t[:, :255]),
        "nodes[0].constants.table must have shape [channels, codes] with codes = 256, got [3, 255]",
    ),
    (
        replaced("nodes.0.table", lambda t: t[:2]),
        "nodes[0].constants.table must have shape [channels, codes] with channels = 3, got [2,",
    ),
    (
        replaced("nodes.0.table", lambda t: t.char()),
        "nodes[0].constants.table must be of uint8, got",
    ),
    (
        replaced("nodes.1.m", first(-1)),
        "nodes[1].constants.m must be from 0 to 2147483647, got [-1,",
    ),
    (
        replaced("nodes.1.shift", first(0)),
        "nodes[1].constants.shift must be from 1 to 62, got [0, 3",
    ),
    (
        replaced("nodes.1.shift", first(63)),
        "nodes[1].constants.shift must be from 1 to 62, got [38,",
    ),
    (
        replaced("nodes.3.beta", first(2**61)),
        "nodes[3].constants.beta must be from -23058430092136",
    ),
    (replaced("nodes.5.table", lambda t: t * 0), f"nodes[5] must {NO_FIT}table begins with 0"),
    (
        replaced("nodes.4.table", lambda t: t - 2),
        "nodes[4].constants.table must be from 0 to 23058",
    ),
    (
        replaced("nodes.5.table", torch.ones(17).int()),
        "nodes[5].constants.table must have at most 16 entries, got 17",
    ),
    (
        replaced("nodes.1.tap_offset", torch.ones(2, 3, 2).int()),
        "nodes[1].constants.tap_offset must have shape [out_channels, kernel_height, kernel_width] "
        "with kernel_width = 3, got [2, 3, 2]",
    ),
    (
        replaced("nodes.1.weight", lambda t: t[:-1]),
        "nodes[1].constants.weight.key must name a uint8 tensor of shape [27], got",
    ),
]


@pytest.mark.parametrize(("change_tensors", "text"), WRONG_TENSORS)
def test_a_wrong_tensor_is_named(change_tensors, text, saved, tmp_path):
    document, tensors = file_content(saved)
    change_tensors(tensors)
    assert error_of(written(tmp_path / "m", document, tensors)).startswith(text)


def test_bits_behind_the_last_weight_must_be_0(saved, tmp_path):
    document, tensors = file_content(saved)
    document["nodes"][1]["constants"]["weight"]["shape"] = [1, 53]
    tensors["nodes.1.weight"][-1] = 0x11
    text = "nodes[1].constants.weight.key must end with 4 bits of 0, got 1"
    assert error_of(written(tmp_path / "m", document, tensors)).startswith(text)


METADATA = [
    ({"format": None}, "__metadata__.format must be 'hybridquant-integer', got None"),
    ({"format": "gguf"}, "__metadata__.format must be 'hybridquant-integer', got 'gguf'"),
    ({"version": "2"}, "__metadata__.version must be '1', got '2'; another version of hybridquant"),
    ({"version": None}, "__metadata__.version must be '1', got None"),
    ({"graph": None}, "__metadata__ must have the key graph, got ['format', 'version']"),
    ({"author": "me"}, "__metadata__ must have known keys only, got 'author'"),
    ({"graph": "{,}"}, "graph must be JSON, got '{,}' ("),
    ({"graph": "[]"}, "graph must be an object, got []"),
    ({"graph": "3"}, "graph must be an object, got 3"),
    ({"graph": '{"producer": NaN}'}, "graph must have finite numbers, got NaN"),
    ({"graph": '{"input": 1, "input": 2}'}, "graph must have each key once, got 'input' twice"),
    ({"graph": "[" * 100_000}, "graph must be JSON, got '[[["),
    ({"graph": "9" * 5000}, "graph must be JSON, got '999"),
    (dict.fromkeys(("format", "version", "graph")), "__metadata__.format must be"),
]


@pytest.mark.parametrize(("metadata", "text"), METADATA)
def test_wrong_metadata_are_named(metadata, text, saved, tmp_path):
    document, tensors = file_content(saved)
    assert error_of(written(tmp_path / "m", document, tensors, **metadata)).startswith(text)


FILES = [
    (b"", "file must be a whole safetensors file, got"),
    (b"{}", "file must be a whole safetensors file, got"),
    (b"PK\3\4" * 10, "header must have at most 16777216 bytes, got"),
    ((2).to_bytes(8, "little") + b"{}", "__metadata__.format must be"),
    ((5).to_bytes(8, "little") + b"{}", "file must be a whole safetensors file, got"),
    ((2).to_bytes(8, "little") + b"{}rest", "file must be a whole safetensors file, got"),
]


@pytest.mark.parametrize(("data", "text"), FILES)
def test_another_file_is_refused(data, text, tmp_path):
    (tmp_path / "m").write_bytes(data)
    assert error_of(tmp_path / "m").startswith(text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"m\.safetensors"):
        load_integer_model(tmp_path / "m.safetensors")


def damaged(data, draw):
    """Return a beginning of ``data``, or all of it with up to three other bytes."""
    data = bytearray(data)
    if draw.random() < 0.25:
        return data[: draw.randrange(len(data))]
    for _ in range(draw.randrange(1, 4)):
        data[draw.randrange(len(data))] = draw.randrange(256)
    return data


def test_a_damaged_file_is_refused_or_has_other_numbers(saved, tmp_path):
    draw, refused = random.Random(4), 0
    for _ in range(400):
        (tmp_path / "m").write_bytes(damaged(saved, draw))
        try:
            load_integer_model(tmp_path / "m")
        except FieldError:
            refused += 1
    assert refused > 200


def test_counts_and_headers_are_limited(saved, monkeypatch, tmp_path):
    (tmp_path / "m").write_bytes(saved)
    monkeypatch.setattr("hybridquant.export.integer_reader._LARGEST_COUNT", 10)
    assert error_of(tmp_path / "m").startswith("tensors must have at most 10 entries, got 11")
    monkeypatch.setattr("hybridquant.export.integer_reader._LARGEST_COUNT", 11)
    monkeypatch.setattr("hybridquant.export.integer_file._LARGEST_HEADER", 1000)
    assert error_of(tmp_path / "m").startswith("header must have at most 1000 bytes, got")
    with pytest.raises(FieldError, match="save_integer_model: header must have at most 1000 bytes"):
        save_integer_model(small_graph(), tmp_path / "n", SMALL)
    assert [file.name for file in tmp_path.iterdir()] == ["m"]
