"""Operators that do nothing in inference."""

from __future__ import annotations

import torch
from torch import fx

from hybridquant.capture.draft import Draft, aten
from hybridquant.capture.errors import unsupported
from hybridquant.capture.graph import args_of
from hybridquant.capture.normalize.table import Result, bound, rewrites


@rewrites(
    aten.clone.default,
    aten.contiguous.default,
    aten.alias.default,
    aten.detach.default,
    aten.lift_fresh_copy.default,
)
def same(_draft: Draft, node: fx.Node) -> Result:
    """The input itself."""
    return args_of(node)[0]


@rewrites(aten.dropout.default, aten.feature_dropout.default, aten.alpha_dropout.default)
def dropout(_draft: Draft, node: fx.Node) -> Result:
    """The input itself, unless values are dropped in inference too."""
    if bound(node)["train"]:
        raise unsupported(node, "drops values at random in inference")
    return args_of(node)[0]


@rewrites(aten._to_copy.default, aten.to.dtype, aten.to.device, aten.to.dtype_layout)
def cast(_draft: Draft, node: fx.Node) -> Result:
    """A cast from float32 to float32 does nothing; any other cast of data is not supported."""
    before, after = args_of(node)[0].meta["val"].dtype, node.meta["val"].dtype
    if not before.is_floating_point:
        return None  # What made places or a mask of the data is refused, by its own name.
    if before != after:
        reason = f"casts {_name(before)} to {_name(after)}; run the model in float32"
        raise unsupported(node, reason)
    return args_of(node)[0]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
