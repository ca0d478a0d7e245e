"""Whatever is wrong in an integer model file is refused, and the field named."""

import json
import random
import re

import pytest
import safetensors.torch
import torch
from integer_graphs import CLASSES, SMALL, small_graph

from hybridquant.export import load_integer_model, save_integer_model
from hybridquant.export.integer_file import file_content
from hybridquant.recipe.field_error import FieldError

DELETED = object()
WHOLE = "be a whole number from"
NO_FIT = "have inputs, attributes and constants that fit each other, got ones that do not: "
PACKED_BIAS = {"key": "nodes.1.bias", "bits": 4, "shape": [2]}
PACKED_HEAD = {"key": "nodes.8.weight", "bits": 4, "shape": [5, 40]}
# The place in the graph, what is put there, what the field must be, and the field if not the place.
WRONG = [
    ("author", "me", "have known keys only, got 'author'", "graph"),
    ("producer", DELETED, "have the key producer", "graph"),
    ("producer", 3, "be text, got 3"),
    ("nodes", {}, "be a list, got {}"),
    ("tensors", None, "be a list, got None"),
    ("input", "picture", "be the name of a tensor, got 'picture'"),
    ("input", "flat", "have shape [1, channels, height, width], got [1, 40]"),
    ("input", "y", "have uint8 codes from 0 to 255, got Codes(dtype='int8'"),
    ("tensors.0.shape.0", 2, "have shape [1, channels, height, width], got [2, 3,", "input"),
    ("tensors.0.highest", 254, "have uint8 codes from 0 to 255, got", "input"),
    ("output", ["logits"], "be the name of a tensor, got ['logits']"),
    ("output", "image", "be computed by a node, got 'image'"),
    ("output", "place", "be computed by a node, got 'place'"),
    ("classes", "tench", "be a list, got 'tench'"),
    ("classes", ["tench"], "have no name or 5, one a logit, got 1"),
    ("classes.1", 5, "be text, got 5"),
    ("classes.1", "\ud800", "be text, got"),
    ("preprocessing", [], "be an object, got []"),
    ("preprocessing.mean", [0.5], "have known keys only, got 'mean'", "preprocessing"),
    ("preprocessing.crop_pct", DELETED, "have the key crop_pct, got", "preprocessing"),
    ("preprocessing.crop_pct", "0.9", "be a finite number above 0, got '0.9'"),
    ("preprocessing.crop_pct", 1.1, "be at most 1, got 1.1"),
    ("preprocessing.crop_mode", "centre", "be a crop mode, got 'centre'; did you mean center?"),
    ("preprocessing.interpolation", 2, "be an interpolation, got 2"),
    ("tensors.1", "x", "be an object, got 'x'"),
    ("tensors.1.bits", 8, "have known keys only, got 'bits'", "tensors[1]"),
    ("tensors.1.value", DELETED, "have the key value, got", "tensors[1]"),
    ("tensors.1.name", "", "be new and not empty, got ''"),
    ("tensors.1.name", "image", "be new and not empty, got 'image'"),
    ("tensors.1.name", "other", "be the name of a tensor, got 'x'", "nodes[0].output"),
    ("tensors.1.name", 7, "be text, got 7"),
    ("tensors.1.shape", 48, "be a list, got 48"),
    ("tensors.1.shape", [], "have 1 to 6 sizes, got []"),
    ("tensors.1.shape", [1] * 7, "have 1 to 6 sizes, got [1, 1, 1, 1, 1, 1, 1]"),
    ("tensors.1.shape", [2**16, 2**15], "have fewer than 2^31 elements, got [65536, 32768]"),
    ("tensors.1.shape.2", 0, f"{WHOLE} 1 to 2147483647, got 0"),
    ("tensors.1.shape.2", 4.0, f"{WHOLE} 1 to 2147483647, got 4.0"),
    ("tensors.1.shape.2", True, f"{WHOLE} 1 to 2147483647, got True"),
    ("tensors.1.shape.2", 2**31, f"{WHOLE} 1 to 2147483647, got 2147483648"),
    ("tensors.1.shape.2", 5, "be a tensor of shape [1, 3, 4, 4], got [1, 3, 5,", "nodes[0].output"),
    ("tensors.1.dtype", "uint16", "be a type of codes, got 'uint16'; did you mean"),
    ("tensors.1.dtype", ["int8"], "be a type of codes, got ['int8']"),
    ("tensors.1.scale", 0, "be a finite number above 0, got 0"),
    ("tensors.1.scale", -1.5, "be a finite number above 0, got -1.5"),
    ("tensors.1.scale", True, "be a finite number above 0, got True"),
    ("tensors.1.scale", 10**400, "be a finite number above 0, got '1000"),
    ("tensors.1.lowest", -1, f"{WHOLE} 0 to 255, got -1"),
    ("tensors.1.highest", 256, f"{WHOLE} 0 to 255, got 256"),
    ("tensors.4.zero_point", 256, f"{WHOLE} -128 to 127, got 256"),
    ("tensors.3.value", "tensors.other", "be 'tensors.place', got 'tensors.other'"),
    ("tensors.1.value", "tensors.x", "be the key of a tensor of the file, got 'tensors.x'"),
    ("tensors.3.dtype", "int32", "be of int32, got 'torch.int16'", "tensors[3].value"),
    ("tensors.3.shape", [1, 16], "have shape [1, 16], got [1, 1, 4, 4]", "tensors[3].value"),
    ("tensors.3.highest", 5, "be from -300 to 5, got", "tensors[3].value"),
    ("tensors.3.value", None, "be the image, a constant or", "nodes[2].inputs[1]"),
    ("nodes.1", [], "be an object, got []"),
    ("nodes.1.name", "conv", "have known keys only, got 'name'", "nodes[1]"),
    ("nodes.1.path", DELETED, "have the key path, got", "nodes[1]"),
    ("nodes.1.path", None, "be text, got None"),
    ("nodes.1.op", "conv3d", "be an operator, got 'conv3d'; did you mean conv2d?"),
    ("nodes.1.op", None, "be an operator, got None"),
    ("nodes.1.inputs", "x", "be a list, got 'x'"),
    ("nodes.1.inputs", [], "name 1, got []"),
    ("nodes.1.inputs", ["x", "x"], "name 1, got ['x', 'x']"),
    ("nodes.1.inputs.0", "a", "be the name of a tensor, got 'a'"),
    ("nodes.1.inputs.0", "z", "be the image, a constant or the output of an earlier node, got 'z'"),
    ("nodes.1.inputs.0", "y", "be the image, a constant or the output of an earlier node, got 'y'"),
    ("tensors.5.dtype", "int32", "be of uint8 or int8 or int16, got 'int32'", "nodes[4].inputs[0]"),
    ("nodes.1.output", "x", "be a tensor that nothing else gives a value to, got 'x'"),
    ("nodes.1.output", "image", "be a tensor that nothing else gives a value to, got 'image'"),
    ("nodes.1.output", "place", "be a tensor that nothing else gives a value to, got 'place'"),
    ("nodes.1.attributes", [], "be an object, got []"),
    ("nodes.1.attributes.bias", True, "have known keys only, got 'bias'", "nodes[1].attributes"),
    ("nodes.1.attributes.stride", DELETED, "have the key stride, got", "nodes[1].attributes"),
    ("nodes.1.attributes.stride", 1, "be a list, got 1"),
    ("nodes.1.attributes.stride", [1], "have 2 numbers, got [1]"),
    ("nodes.1.attributes.stride.1", 0, f"{WHOLE} 1 to 2147483647, got 0"),
    ("nodes.1.attributes.stride.1", 1.5, f"{WHOLE} 1 to 2147483647, got 1.5"),
    ("nodes.1.attributes.padding.0", -1, f"{WHOLE} 0 to 2147483647, got -1"),
    ("nodes.1.attributes.padding", [0, 0], "be a tensor of shape [1, 2, 2, 2]", "nodes[1].output"),
    ("nodes.1.attributes.dilation.0", 9, NO_FIT, "nodes[1]"),
    ("nodes.1.attributes.groups", 3, NO_FIT, "nodes[1]"),
    ("nodes.1.attributes.groups", "1", f"{WHOLE} 1 to 2147483647, got '1'"),
    ("nodes.1.attributes.groups", 2**64, f"{WHOLE} 1 to 2147483647, got 18446744073709551616"),
    ("nodes.2.attributes.m", [1], "have 2 numbers, got [1]"),
    ("nodes.2.attributes.m.1", 2**31, f"{WHOLE} -2147483647 to 2147483647, got 2147483648"),
    ("nodes.2.attributes.shift", 63, f"{WHOLE} 1 to 62, got 63"),
    ("nodes.3.attributes.epsilon", 0, f"{WHOLE} 1 to 4611686018427387904, got 0"),
    ("nodes.5.attributes.form", "exact", "be a softmax form, got 'exact'"),
    ("nodes.6.attributes.amounts", [], "have at least one number, got []"),
    ("nodes.6.attributes.amounts", [1], NO_FIT, "nodes[6]"),
    ("nodes.6.attributes.code", 256, f"{WHOLE} 0 to 255, got 256"),
    ("nodes.6.attributes.amounts.0", -1, f"{WHOLE} 0 to 2147483647, got -1"),
    ("tensors.8.scale", 0.1, "have the output's scale 0.1, got 0.05", "nodes[6].inputs"),
    ("tensors.8.lowest", 1, "have the output's lowest 1, got 0", "nodes[6].inputs"),
    ("nodes.7.attributes.shape", [1, 41], NO_FIT, "nodes[7]"),
    ("nodes.7.attributes.shape", [40], "be a tensor of shape [40], got [1, 40]", "nodes[7].output"),
    ("nodes.1.constants", None, "be an object, got None"),
    ("nodes.1.constants.a", "nodes.1.a", "have known keys only, got 'a'", "nodes[1].constants"),
    ("nodes.1.constants.m", DELETED, "have the key m, got", "nodes[1].constants"),
    ("nodes.1.constants.m", "nodes.8.m", "be 'nodes.1.m', got 'nodes.8.m'"),
    ("nodes.1.constants.m", None, "be 'nodes.1.m', got None"),
    ("nodes.1.constants.bias", PACKED_BIAS, "be the key of a tensor, for only a weight has 4 bits"),
    ("nodes.1.constants.weight.key", "m", "be 'nodes.1.weight', got 'm'"),
    ("nodes.1.constants.weight.bits", 2, f"{WHOLE} 4 to 4, got 2"),
    ("nodes.1.constants.weight.a", 0, "have known keys only, got 'a'", "nodes[1].constants.weight"),
    ("nodes.1.constants.weight.shape", DELETED, "have the key", "nodes[1].constants.weight"),
    (
        "nodes.1.constants.weight.shape",
        [3, 3],
        "name a uint8 tensor of shape [5], got 'torch.uint8 [27]'",
        "nodes[1].constants.weight.key",
    ),
    (
        "nodes.1.constants.weight.shape",
        [2, 27],
        "have shape [out_channels, channels / groups, kernel_height, kernel_width], got [2, 27]",
        "nodes[1].constants.weight",
    ),
    ("nodes.1.constants.weight", "nodes.1.weight", "be of int8, got 'torch.uint8'"),
    (
        "nodes.8.constants.weight",
        PACKED_HEAD,
        "name a uint8 tensor of shape [100], got 'torch.int8 [5, 40]'",
        "nodes[8].constants.weight.key",
    ),
    ("nodes.1.constants.tap_offset", DELETED, "have no tensors that the graph does not", "file"),
]


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
    (b"PK\3\4" * 10, "header must have at most 67108864 bytes, got"),
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
