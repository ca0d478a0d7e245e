"""Operators that do nothing in inference."""

from __future__ import annotations

import torch
from torch import fx

from hybridquant.capture.draft import Draft, aten
from hybridquant.capture.errors import UnsupportedOperatorError
from hybridquant.capture.normalize.table import rewrites


@rewrites(
    aten.clone.default,
    aten.contiguous.default,
    aten.alias.default,
    aten.detach.default,
    aten.lift_fresh_copy.default,
    aten.dropout.default,
    aten.feature_dropout.default,
    aten.alpha_dropout.default,
)
def same(_draft: Draft, node: fx.Node) -> fx.Node:
    """The input itself."""
    return node.args[0]


@rewrites(aten._to_copy.default, aten.to.dtype, aten.to.device, aten.to.dtype_layout)
def cast(_draft: Draft, node: fx.Node) -> fx.Node:
    """A cast from float32 to float32 does nothing; any other cast of data is not supported."""
    before, after = node.args[0].meta["val"].dtype, node.meta["val"].dtype
    if before != after:
        reason = f"casts {_name(before)} to {_name(after)}; run the model in float32"
        raise UnsupportedOperatorError(str(node.target), node.meta["path"], reason)
    return node.args[0]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
