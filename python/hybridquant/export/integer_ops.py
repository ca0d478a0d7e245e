"""Every kind of integer node of a model file; docs/format.md has the same as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hybridquant.export import integer_shapes as shapes
from hybridquant.export.integer_schema import (
    NARROW,
    Attribute,
    Choice,
    Constant,
    Flag,
    Op,
    Text,
    Whole,
    Wholes,
)
from hybridquant.lower.int_graph import DTYPES
from hybridquant.lower.rounding import RULES

_ANY = tuple(DTYPES)
_WIDE = (*NARROW, "int32")
_INT64 = 2**63
_LARGEST_SIZE = 2**31 - 1
_CODES = ("dtype", "scale", "zero_point", "lowest", "highest")

_X = (("*",),)
_XY = (("*",), ("*",))
_IMAGE = (("images", "channels", "height", "width"),)
_MATRICES = (("*", "rows", "depth"), ("*", "depth", "columns"))

_SIZE = Whole(1, _LARGEST_SIZE)
_AXIS = Whole(0, 5)
_SHIFT = Whole(1, 62)
_EPSILON = Whole(1, 2**62)
_R: Mapping[str, Attribute] = {"m": Whole(0, 2**31 - 1), "shift": _SHIFT}
_WINDOW: Mapping[str, Attribute] = {
    "kernel": Wholes(1, _LARGEST_SIZE, 2),
    "stride": Wholes(1, _LARGEST_SIZE, 2),
    "padding": Wholes(0, _LARGEST_SIZE, 2),
}


def _multipliers(size: str) -> dict[str, Constant]:
    return {
        "m": Constant(("int32",), (size,), 0, 2**31 - 1),
        "shift": Constant(("int32",), (size,), 1, 62),
    }


def _product(*weight: str) -> dict[str, Constant]:
    return {
        "weight": Constant(("int8",), weight),
        "bias": Constant(("int32",), weight[:1]),
        **_multipliers(weight[0]),
    }


def _affine(size: str) -> dict[str, Constant]:
    return {
        "m": Constant(("int32",), (size,), 1 - 2**31, 2**31 - 1),
        "beta": Constant(("int64",), (size,), 1 - 2**61, 2**61 - 1),
    }


def _taps(name: str, size: str) -> dict[str, Constant]:
    keys = (f"{name}_low", f"{name}_high", f"{name}_weight")
    return {key: Constant(("int32",), (size,), 0) for key in keys}


_FORM: Mapping[str, Attribute] = {
    "form": Choice("softmax form", ("table", "linear", "polynomial", "shift"))
}
_JOIN = Op(
    _XY,
    {"m": Wholes(1 - 2**31, 2**31 - 1, 2), "shift": _SHIFT},
    {},
    shapes.broadcast,
    _WIDE,
)
_REDUCTION = Op(_X, {"axes": Wholes(0, 5), "keepdim": Flag(), **_R}, {}, shapes.mean)
_EXPONENTIALS = {"table": Constant(("int32", "int64"), ("entries",), 0, 2**61 - 1)}
_NORM: Mapping[str, Attribute] = {
    "is_centred": Flag(),
    "count": Whole(1, 2**20 - 1),
    "epsilon": _EPSILON,
    "shift": _SHIFT,
}

_OPS = {
    "channel_table": Op(
        (("images", "channels", "*"),), {}, {"table": Constant(("output",), ("channels", "codes"))}
    ),
    "conv2d": Op(
        _IMAGE,
        {
            "stride": Wholes(1, _LARGEST_SIZE, 2),
            "padding": Wholes(0, _LARGEST_SIZE, 2),
            "dilation": Wholes(1, _LARGEST_SIZE, 2),
            "groups": _SIZE,
        },
        {
            **_product("out_channels", "channels / groups", "kernel_height", "kernel_width"),
            "tap_offset": Constant(
                ("int32",), ("out_channels", "kernel_height", "kernel_width"), is_optional=True
            ),
        },
        shapes.conv2d,
    ),
    "linear": Op((("*", "features"),), {}, _product("out_features", "features"), shapes.linear),
    "matmul": Op(_MATRICES, _R, {}, shapes.matmul, _ANY),
    "matmul_sums": Op(_MATRICES, {}, {}, shapes.matmul, _ANY, zero_point=0),
    "mul": Op(_XY, _R, {}, shapes.broadcast, _WIDE),
    "div": Op(_XY, {"m": Whole(0, 2**15 - 1), "shift": Whole(0, 30)}, {}, shapes.broadcast, _ANY),
    "add": _JOIN,
    "maximum": _JOIN,
    "minimum": _JOIN,
    "add_constant": Op(
        _X,
        {"offset": Whole(1 - 2**62, 2**62 - 1)},
        {},
        dtypes=("int32", "int64"),
        keeps=("dtype", "scale", "zero_point"),
    ),
    "requantize": Op(_X, _R, {}, dtypes=_ANY),
    "table": Op(_X, {}, {"table": Constant(("output",), ("codes",))}),
    "levels": Op(
        _X,
        {},
        {
            "thresholds": Constant(("int32",), ("steps",)),
            "levels": Constant(("output",), ("levels",)),
        },
        shapes.levels,
    ),
    "softmax": Op(
        (("*", "row"),),
        {**_FORM, "m": Whole(1, 2**24 - 1)},
        _EXPONENTIALS,
        shapes.softmax,
    ),
    "softmax_log2": Op((("*", "row"),), _FORM, _EXPONENTIALS, shapes.softmax, zero_point=0),
    "layer_norm": Op(_X, _NORM, _affine("count"), shapes.layer_norm),
    "group_norm": Op(
        (("images", "channels", "*"),),
        {**_NORM, "groups": _SIZE},
        _affine("channels"),
        shapes.group_norm,
    ),
    "l2_norm": Op((("*", "row"),), {"epsilon": _EPSILON, "shift": _SHIFT}, _affine("row")),
    "mean": _REDUCTION,
    "amax": _REDUCTION,
    "amin": _REDUCTION,
    "avg_pool2d": Op(_IMAGE, _WINDOW, _multipliers("window"), shapes.avg_pool2d),
    "max_pool2d": Op(_IMAGE, _WINDOW, {}, shapes.max_pool2d, keeps=_CODES),
    "resize_bilinear": Op(
        _IMAGE, _R, {**_taps("rows", "rows"), **_taps("columns", "columns")}, shapes.resize_bilinear
    ),
    "reshape": Op(_X, {"shape": Wholes(1, _LARGEST_SIZE)}, {}, shapes.reshape, _ANY, _CODES),
    "expand": Op(_X, {"shape": Wholes(1, _LARGEST_SIZE)}, {}, shapes.expand, _ANY, _CODES),
    "permute": Op(_X, {"axes": Wholes(0, 5)}, {}, shapes.permute, _ANY, _CODES),
    "slice": Op(
        _X,
        {
            "axis": _AXIS,
            "start": Whole(0, _LARGEST_SIZE),
            "stop": Whole(1, _LARGEST_SIZE),
            "step": _SIZE,
        },
        {},
        shapes.slice,
        _ANY,
        keeps=_CODES,
    ),
    "index_select": Op(
        _X,
        {"axis": _AXIS},
        {"index": Constant(("int32",), ("places",), 0)},
        shapes.index_select,
        _ANY,
        keeps=_CODES,
    ),
    "external": Op(None, {"function": Text()}, {}, None, _ANY),
    "cat": Op(None, {"axis": _AXIS}, {}, shapes.cat, _ANY, _CODES),
    "pad": Op(
        _X,
        {"amounts": Wholes(0, _LARGEST_SIZE), "code": Whole(-_INT64, _INT64 - 1)},
        {},
        shapes.pad,
        _ANY,
        keeps=_CODES,
    ),
}


def _with_rounding(op: Op, rules: tuple[str, ...]) -> Op:
    return replace(op, optional={"rounding": Choice("rounding", rules)}) if rules else op


OPS: dict[str, Op] = {name: _with_rounding(op, RULES.get(name, ())) for name, op in _OPS.items()}
