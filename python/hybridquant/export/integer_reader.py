"""Plain data and tensors as an IntGraph, with every field checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hybridquant.data.data_config import CROP_MODES, INTERPOLATIONS
from hybridquant.export.integer_graph import Preprocessing
from hybridquant.export.integer_ops import OPS
from hybridquant.export.integer_schema import check_node, check_shape
from hybridquant.export.json_fields import items, positive, record, short, text, whole
from hybridquant.export.nibbles import unpack_nibbles
from hybridquant.lower.int_graph import (
    DTYPES,
    AnyCodes,
    ChannelCodes,
    Codes,
    IntGraph,
    IntNode,
    IntTensor,
)
from hybridquant.recipe.field_error import check, check_choice

GRAPH_KEYS = ("producer", "input", "output", "classes", "preprocessing", "tensors", "nodes")
TENSOR_KEYS = ("name", "shape", "dtype", "scale", "zero_point", "lowest", "highest", "value")
OPTIONAL_TENSOR_KEYS = ("channels",)
CHANNELS_KEYS = ("axis", "scales", "zero_points")
NODE_KEYS = ("op", "inputs", "output", "path", "attributes", "constants")
_LARGEST_COUNT = 100_000
_LARGEST_CODE = 2**62 - 1


def graph_from_data(
    document: object, tensors: Mapping[str, Tensor]
) -> tuple[IntGraph, Preprocessing, tuple[str, ...]]:
    """Return the graph that plain data and tensors describe.

    Args:
        document: What ``graph_to_data`` makes.
        tensors: By their keys in the file; each must have one place in the graph.

    Raises:
        FieldError: If a field is missing, unknown, or does not fit the others.
    """
    return _Reader(document, tensors).read()


class _Reader:
    """Reads a graph, in the order of the nodes."""

    def __init__(self, document: object, tensors: Mapping[str, Tensor]) -> None:
        self.fields = record("graph", document, GRAPH_KEYS)
        self.stored = dict(tensors)
        self.graph = IntGraph()
        self.is_there: set[str] = set()  # tensors that have a value by now

    def read(self) -> tuple[IntGraph, Preprocessing, tuple[str, ...]]:
        graph, fields = self.graph, self.fields
        text("producer", fields["producer"])
        for index, value in enumerate(self._many("tensors")):
            self._read_tensor(f"tensors[{index}]", value)
        graph.input = self._read_input()
        for index, value in enumerate(self._many("nodes")):
            self._read_node(index, value)
        graph.output = self._name("output", fields["output"])
        is_computed = graph.output in {node.output for node in graph.nodes}
        check(is_computed, "output", "be computed by a node", graph.output)
        self._check_one_scale("output", graph.output)
        for index, name in enumerate(graph.tensors):
            requirement = "have a value or a node that computes it"
            check(name in self.is_there, f"tensors[{index}]", requirement, name)
        unused = sorted(self.stored)
        check(not unused, "file", "have no tensors that the graph does not name", short(unused))
        return graph, self._preprocessing(), self._classes()

    def _check_one_scale(self, field: str, name: str) -> None:
        is_legal = isinstance(self.graph.tensors[name].codes, Codes)
        check(is_legal, field, "have one scale, and no channels", name)

    def _many(self, field: str) -> list[Any]:
        values = items(field, self.fields[field])
        requirement = f"have at most {_LARGEST_COUNT} entries"
        check(len(values) <= _LARGEST_COUNT, field, requirement, len(values))
        return values

    def _read_tensor(self, field: str, value: object) -> None:
        fields = record(field, value, TENSOR_KEYS, OPTIONAL_TENSOR_KEYS)
        name = text(f"{field}.name", fields["name"])
        is_new = name != "" and name not in self.graph.tensors
        check(is_new, f"{field}.name", "be new and not empty", short(name))
        shape = check_shape(f"{field}.shape", fields["shape"])
        codes = _codes(field, fields, shape)
        constant = None
        if fields["value"] is not None:
            constant = self._stored(f"{field}.value", fields["value"], f"tensors.{name}")
            _check_value(f"{field}.value", constant, shape, codes)
            self.is_there.add(name)
        self.graph.tensors[name] = IntTensor(name, shape, codes, constant)

    def _read_input(self) -> str:
        name = self._name("input", self.fields["input"])
        tensor = self.graph.tensors[name]
        codes, shape = tensor.codes, [*tensor.shape]
        is_image = len(shape) == 4 and shape[0] == 1
        check(is_image, "input", "have shape [1, channels, height, width]", shape)
        is_bytes = (codes.dtype, codes.lowest, codes.highest) == ("uint8", 0, 255)
        check(is_bytes, "input", "have uint8 codes from 0 to 255", codes)
        check(tensor.value is None, "input", "have no value", name)
        self._check_one_scale("input", name)
        self.is_there.add(name)
        return name

    def _read_node(self, index: int, value: object) -> None:
        field = f"nodes[{index}]"
        fields = record(field, value, NODE_KEYS)
        check_choice(f"{field}.op", "operator", fields["op"], OPS)
        inputs = []
        for position, item in enumerate(items(f"{field}.inputs", fields["inputs"])):
            where = f"{field}.inputs[{position}]"
            inputs.append(self._name(where, item))
            requirement = "be the image, a constant or the output of an earlier node"
            check(item in self.is_there, where, requirement, item)
        output = self._name(f"{field}.output", fields["output"])
        requirement = "be a tensor that nothing else gives a value to"
        check(output not in self.is_there, f"{field}.output", requirement, output)
        path = text(f"{field}.path", fields["path"])
        op = OPS[fields["op"]]
        entries = record(f"{field}.constants", fields["constants"], (), op.constants)
        constants = {name: self._constant(index, name, entry) for name, entry in entries.items()}
        node = IntNode(fields["op"], tuple(inputs), output, path, fields["attributes"], constants)
        check_node(field, op, node, self.graph.tensors)
        self.is_there.add(output)
        self.graph.nodes.append(node)

    def _constant(self, index: int, name: str, entry: object) -> Tensor:
        field, key = f"nodes[{index}].constants.{name}", f"nodes.{index}.{name}"
        if not isinstance(entry, dict):
            return self._stored(field, entry, key)
        fields = record(field, entry, ("key", "bits", "shape"))
        requirement = "be the key of a tensor, for only a weight has 4 bits"
        check(name == "weight", field, requirement, short(entry))
        whole(f"{field}.bits", fields["bits"], 4, 4)
        shape = check_shape(f"{field}.shape", fields["shape"])
        packed = self._stored(f"{field}.key", fields["key"], key)
        return _unpacked(field, packed, shape)

    def _stored(self, field: str, key: object, wanted: str) -> Tensor:
        """Return a tensor of the file, and note that it has its place."""
        check(key == wanted, field, f"be {wanted!r}", short(key))
        check(wanted in self.stored, field, "be the key of a tensor of the file", wanted)
        return self.stored.pop(wanted)

    def _name(self, field: str, value: object) -> str:
        is_known = isinstance(value, str) and value in self.graph.tensors
        check(is_known, field, "be the name of a tensor", short(value))
        return str(value)

    def _preprocessing(self) -> Preprocessing:
        names = ("interpolation", "crop_pct", "crop_mode")
        fields = record("preprocessing", self.fields["preprocessing"], names)
        for name, known in (("interpolation", INTERPOLATIONS), ("crop_mode", CROP_MODES)):
            what = name.replace("_", " ")
            check_choice(f"preprocessing.{name}", what, fields[name], known)
        crop_pct = positive("preprocessing.crop_pct", fields["crop_pct"])
        check(crop_pct <= 1, "preprocessing.crop_pct", "be at most 1", crop_pct)
        _, *sizes = self.graph.tensors[self.graph.input].shape
        size = (sizes[0], sizes[1], sizes[2])
        return Preprocessing(size, fields["interpolation"], crop_pct, fields["crop_mode"])

    def _classes(self) -> tuple[str, ...]:
        values = items("classes", self.fields["classes"])
        classes = tuple(text(f"classes[{i}]", value) for i, value in enumerate(values))
        count = self.graph.tensors[self.graph.output].shape[-1]
        requirement = f"have no name or {count}, one a logit"
        check(len(classes) in (0, count), "classes", requirement, len(classes))
        return classes


def _codes(field: str, fields: Mapping[str, Any], shape: tuple[int, ...]) -> AnyCodes:
    check_choice(f"{field}.dtype", "type of codes", fields["dtype"], DTYPES)
    dtype = str(fields["dtype"])
    limits = torch.iinfo(DTYPES[dtype])
    least, most = max(limits.min, -_LARGEST_CODE), min(limits.max, _LARGEST_CODE)
    lowest = whole(f"{field}.lowest", fields["lowest"], least, most)
    highest = whole(f"{field}.highest", fields["highest"], lowest, most)
    zero_point = whole(f"{field}.zero_point", fields["zero_point"], lowest, highest)
    scale = positive(f"{field}.scale", fields["scale"])
    if "channels" not in fields:
        return Codes(dtype, scale, zero_point, lowest, highest)
    field_name = f"{field}.channels"
    own = record(field_name, fields["channels"], CHANNELS_KEYS)
    axis = whole(f"{field_name}.axis", own["axis"], 0, len(shape) - 1)
    for name in ("scales", "zero_points"):
        count = len(items(f"{field_name}.{name}", own[name]))
        requirement = f"have {shape[axis]} numbers, one a channel"
        check(count == shape[axis], f"{field_name}.{name}", requirement, count)
    scales = [positive(f"{field_name}.scales[{i}]", v) for i, v in enumerate(own["scales"])]
    zero_points = [
        whole(f"{field_name}.zero_points[{i}]", v, lowest, highest)
        for i, v in enumerate(own["zero_points"])
    ]
    codes = ChannelCodes(dtype, axis, tuple(scales), tuple(zero_points), lowest, highest)
    wanted = codes.largest_scale
    check(scale == wanted, f"{field}.scale", f"be {wanted}, the largest of the channels", scale)
    wanted = codes.zero_point
    requirement = f"be {wanted}, in the middle of those of the channels"
    check(zero_point == wanted, f"{field}.zero_point", requirement, zero_point)
    return codes


def _check_value(field: str, value: Tensor, shape: tuple[int, ...], codes: AnyCodes) -> None:
    check(value.dtype == DTYPES[codes.dtype], field, f"be of {codes.dtype}", str(value.dtype))
    check(tuple(value.shape) == shape, field, f"have shape {[*shape]}", [*value.shape])
    least, most = int(value.min()), int(value.max())
    is_legal = codes.lowest <= least and most <= codes.highest
    check(is_legal, field, f"be from {codes.lowest} to {codes.highest}", [least, most])


def _unpacked(field: str, packed: Tensor, shape: tuple[int, ...]) -> Tensor:
    count = math.prod(shape)
    size = [(count + 1) // 2]
    is_legal = packed.dtype == torch.uint8 and [*packed.shape] == size
    got = f"{packed.dtype} {[*packed.shape]}"
    check(is_legal, f"{field}.key", f"name a uint8 tensor of shape {size}", got)
    last = int(packed[-1]) >> 4
    check(count % 2 == 0 or last == 0, f"{field}.key", "end with 4 bits of 0", last)
    return unpack_nibbles(packed, count).reshape(shape)
