"""What a kind of integer node may read and hold, and the check that a node does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from hybridquant.export import integer_shapes as shapes
from hybridquant.export.json_fields import items, record, short, text, whole
from hybridquant.lower.int_graph import DTYPES, ChannelCodes, IntNode, IntTensor
from hybridquant.recipe.field_error import FieldError, check, check_choice

NARROW = ("uint8", "int8", "int16")
_INT64 = 2**63
_LARGEST_SIZE = 2**31 - 1
_LARGEST_RANK = 6


@dataclass(frozen=True)
class Whole:
    """A whole number."""

    lowest: int
    highest: int

    def check(self, where: str, value: object) -> None:
        """Raise a FieldError if ``value`` is none."""
        whole(where, value, self.lowest, self.highest)


@dataclass(frozen=True)
class Wholes:
    """A list of whole numbers, of ``count`` or of any number from 1 on."""

    lowest: int
    highest: int
    count: int | None = None

    def check(self, where: str, value: object) -> None:
        """Raise a FieldError if ``value`` is none."""
        for position, number in enumerate(items(where, value)):
            whole(f"{where}[{position}]", number, self.lowest, self.highest)
        found, wanted = len(items(where, value)), self.count
        how_many = "at least one number" if wanted is None else f"{wanted} numbers"
        check(found == wanted if wanted else found > 0, where, f"have {how_many}", short(value))


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def check(self, where: str, value: object) -> None:
        """Raise a FieldError if ``value`` is none."""
        check(isinstance(value, bool), where, "be true or false", short(value))


@dataclass(frozen=True)
class Choice:
    """One of some names."""

    what: str
    names: tuple[str, ...]

    def check(self, where: str, value: object) -> None:
        """Raise a FieldError if ``value`` is none."""
        check_choice(where, self.what, short(value), self.names)


@dataclass(frozen=True)
class Text:
    """A text that is not empty."""

    def check(self, where: str, value: object) -> None:
        """Raise a FieldError if ``value`` is none."""
        check(text(where, value) != "", where, "not be empty", short(value))


Attribute = Whole | Wholes | Flag | Choice | Text


@dataclass(frozen=True)
class Constant:
    """A constant tensor of a node.

    Args:
        dtypes: One of these; ``output`` stands for the type of the output, whose codes it holds.
        shape: Names of sizes. One name stands for one number in all shapes of a node; an attribute
            of that name gives it; ``codes`` is the number of the input's codes and ``window`` the
            area of the attribute ``kernel``.
        lowest: Smallest number.
        highest: Largest number.
        is_optional: Whether a node may lack it.
    """

    dtypes: tuple[str, ...]
    shape: tuple[str, ...]
    lowest: int = -_INT64
    highest: int = _INT64 - 1
    is_optional: bool = False


@dataclass(frozen=True)
class Op:
    """What a node reads and holds.

    Args:
        inputs: Shape of each input, as in ``Constant``; ``*`` stands for any sizes. ``None``: one
            or more inputs of any shape.
        attributes: By name.
        constants: By name.
        shape: Of the output; None where it may be any.
        dtypes: That inputs may have.
        keeps: What the codes of inputs and output have in common, fields of ``Codes``.
        zero_point: Of the output, where there is no choice.
        optional: Attributes that a node may lack, by name.
    """

    inputs: tuple[tuple[str, ...], ...] | None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    constants: Mapping[str, Constant] = field(default_factory=dict)
    shape: shapes.ShapeOf | None = shapes.same
    dtypes: tuple[str, ...] = NARROW
    keeps: tuple[str, ...] = ()
    zero_point: int | None = None
    optional: Mapping[str, Attribute] = field(default_factory=dict)


def check_shape(where: str, value: object) -> tuple[int, ...]:
    """Return the sizes of a tensor: at most 6, at least 1 each, fewer than 2^31 elements.

    Raises:
        FieldError: If they are others.
    """
    sizes = items(where, value)
    check(1 <= len(sizes) <= _LARGEST_RANK, where, f"have 1 to {_LARGEST_RANK} sizes", short(sizes))
    shape = tuple(whole(f"{where}[{i}]", v, 1, _LARGEST_SIZE) for i, v in enumerate(sizes))
    count = math.prod(shape)
    check(count <= _LARGEST_SIZE, where, "have fewer than 2^31 elements", [*shape])
    return shape


def check_node(where: str, op: Op, node: IntNode, tensors: Mapping[str, IntTensor]) -> None:
    """Check a node's inputs, attributes, constants and output against each other.

    Args:
        where: Where the node stands, for error texts.
        op: What nodes of its kind read and hold.
        node: The node.
        tensors: All of the graph; the node's are among them.

    Raises:
        FieldError: If something is missing, unknown, out of range or of another shape.
    """
    output = tensors[node.output]
    inputs = [tensors[name] for name in node.inputs]
    record(f"{where}.attributes", node.attributes, op.attributes, op.optional)
    known = {**op.attributes, **op.optional}
    for name, value in node.attributes.items():
        known[name].check(f"{where}.attributes.{name}", value)
    if "code" in node.attributes:  # of pad
        code, codes = node.attributes["code"], output.codes
        whole(f"{where}.attributes.code", code, codes.lowest, codes.highest)
    sizes = _check_inputs(where, op, node, inputs)
    _check_constants(f"{where}.constants", op, node, output, sizes)
    if op.shape is not None:
        _check_output_shape(where, op.shape, node, [tensor.shape for tensor in inputs], output)
    zero_point = output.codes.zero_point if op.zero_point is None else op.zero_point
    requirement, got = f"have zero_point {zero_point}", output.codes.zero_point
    check(got == zero_point, f"{where}.output", requirement, got)
    for name in op.keeps:
        kept = _kept(output, name)
        for found in (_kept(tensor, name) for tensor in inputs):
            check(found == kept, f"{where}.inputs", f"have the output's {name} {kept!r}", found)


def _kept(tensor: IntTensor, name: str) -> object:
    """Return a field of a tensor's codes; of scales of channels, which a move repeats, the most."""
    codes = tensor.codes
    if name == "scale" and isinstance(codes, ChannelCodes):
        return f"{codes.largest_scale} at most, one a channel"
    return getattr(codes, name)


def _check_output_shape(
    where: str,
    shape_of: shapes.ShapeOf,
    node: IntNode,
    inputs: Sequence[Sequence[int]],
    output: IntTensor,
) -> None:
    try:
        shape = shapes.output_shape(shape_of, node, inputs)
    except ValueError as error:
        requirement = "must have inputs, attributes and constants that fit each other, got"
        raise FieldError(where, f"{requirement} ones that do not: {error}") from error
    is_legal = output.shape == shape
    check(is_legal, f"{where}.output", f"be a tensor of shape {[*shape]}", [*output.shape])


def _check_inputs(where: str, op: Op, node: IntNode, inputs: Sequence[IntTensor]) -> dict[str, int]:
    """Return the sizes that the inputs and attributes give names to."""
    names, wanted = list(node.inputs), op.inputs
    how_many = "one tensor or more" if wanted is None else f"{len(wanted)}"
    is_legal = bool(inputs) if wanted is None else len(inputs) == len(wanted)
    check(is_legal, f"{where}.inputs", f"name {how_many}", short(names))
    a = node.attributes
    sizes = {name: value for name, value in a.items() if type(value) is int}
    if inputs:
        sizes["codes"] = inputs[0].codes.count
    if "kernel" in a:
        sizes["window"] = math.prod(a["kernel"])
    for position, tensor in enumerate(inputs):
        field_name = f"{where}.inputs[{position}]"
        dtype = tensor.codes.dtype
        check(dtype in op.dtypes, field_name, f"be of {' or '.join(op.dtypes)}", dtype)
        _name_sizes(field_name, ("*",) if wanted is None else wanted[position], tensor.shape, sizes)
    return sizes


def _check_constants(
    where: str, op: Op, node: IntNode, output: IntTensor, sizes: dict[str, int]
) -> None:
    required = [name for name, constant in op.constants.items() if not constant.is_optional]
    record(where, node.constants, required, set(op.constants) - set(required))
    for name in [name for name in op.constants if name in node.constants]:
        field_name, value = f"{where}.{name}", node.constants[name]
        _check_constant(field_name, op.constants[name], value, output, sizes)
    if "entries" in sizes:  # of a softmax
        entries, count = sizes["entries"], sizes["codes"]
        check(entries <= count, f"{where}.table", f"have at most {count} entries", entries)


def _check_constant(
    where: str, constant: Constant, value: Tensor, output: IntTensor, sizes: dict[str, int]
) -> None:
    codes = output.codes
    is_output = constant.dtypes == ("output",)
    dtypes = (codes.dtype,) if is_output else constant.dtypes
    is_legal = value.dtype in [DTYPES[dtype] for dtype in dtypes]
    check(is_legal, where, f"be of {' or '.join(dtypes)}", str(value.dtype))
    _name_sizes(where, constant.shape, value.shape, sizes)
    lowest, highest = constant.lowest, constant.highest
    if is_output:
        lowest, highest = codes.lowest, codes.highest
    least, most = int(value.min()), int(value.max())
    is_legal = lowest <= least and most <= highest
    check(is_legal, where, f"be from {lowest} to {highest}", [least, most])


def _name_sizes(
    where: str, names: Sequence[str], shape: Sequence[int], sizes: dict[str, int]
) -> None:
    """Check a shape against names of sizes, and note the numbers of those that have none yet."""
    star = names.index("*") if "*" in names else len(names)
    behind = len(names) - star - 1
    is_legal = len(shape) == star if behind < 0 else len(shape) >= star + behind
    check(is_legal and 0 not in shape, where, f"have shape [{', '.join(names)}]", [*shape])
    pairs = [*zip(names[:star], shape, strict=False)]
    if behind > 0:
        pairs += zip(names[-behind:], shape[-behind:], strict=True)
    for name, size in pairs:
        known = sizes.setdefault(name, size)
        requirement = f"have shape [{', '.join(names)}] with {name} = {known}"
        check(size == known, where, requirement, [*shape])
