"""Products of two tensors: linear where one is a trained matrix, else matmul."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import fx

from hybridquant.capture.draft import Draft, aten, shape_of
from hybridquant.capture.errors import unsupported
from hybridquant.capture.graph import args_of
from hybridquant.capture.normalize.table import Result, bound, rewrites


@rewrites(aten.matmul.default, aten.mm.default, aten.bmm.default)
def matmul(draft: Draft, node: fx.Node) -> Result:
    """A product with a constant matrix on the right is a linear layer."""
    return _product(draft, args_of(node)[0], args_of(node)[1])


def _product(draft: Draft, x: fx.Node, y: fx.Node) -> fx.Node:
    if y.op == "get_attr" and len(shape_of(y)) == 2 and x.op != "get_attr":
        return draft.call(aten.linear.default, x, draft.permute(y, [1, 0]), None)
    return draft.call(aten.matmul.default, x, y)


@rewrites(aten.linear.default)
def linear(draft: Draft, node: fx.Node) -> Result:
    """A weight that is data makes it a matmul; the bias is always given."""
    arguments = bound(node)
    x, weight, bias = arguments["input"], arguments["weight"], arguments["bias"]
    if weight.op == "get_attr":
        return draft.call(aten.linear.default, x, weight, bias)
    rank = len(shape_of(weight))
    swapped = draft.permute(weight, [*range(rank - 2), rank - 1, rank - 2])
    product = draft.call(aten.matmul.default, x, swapped)
    return product if bias is None else draft.call(aten.add.Tensor, product, bias)


@rewrites(aten.addmm.default)
def addmm(draft: Draft, node: fx.Node) -> Result:
    """A linear layer written as ``bias + x @ weight``."""
    arguments = bound(node)
    bias, x, y = arguments["self"], arguments["mat1"], arguments["mat2"]
    plain = arguments["alpha"] == 1 and arguments["beta"] == 1
    if plain and y.op == bias.op == "get_attr" and len(shape_of(bias)) == 1:
        return draft.call(aten.linear.default, x, draft.permute(y, [1, 0]), bias)
    return _scaled_sum(draft, arguments, bias, _product(draft, x, y))


@rewrites(aten.baddbmm.default)
def baddbmm(draft: Draft, node: fx.Node) -> Result:
    """``beta * bias + alpha * x @ y``."""
    arguments = bound(node)
    product = _product(draft, arguments["batch1"], arguments["batch2"])
    return _scaled_sum(draft, arguments, arguments["self"], product)


def _scaled_sum(
    draft: Draft, arguments: dict[str, Any], bias: fx.Node, product: fx.Node
) -> fx.Node:
    if arguments["alpha"] != 1:
        product = draft.call(aten.mul.Tensor, product, arguments["alpha"])
    if arguments["beta"] == 0:
        return product
    if arguments["beta"] != 1:
        bias = draft.call(aten.mul.Tensor, bias, arguments["beta"])
    return draft.call(aten.add.Tensor, product, bias)


@rewrites(aten.scaled_dot_product_attention.default)
def attention(draft: Draft, node: fx.Node) -> Result:
    """``softmax(scale * q @ k^T + mask) @ v``, the scale applied to q as timm's own code does."""
    arguments = bound(node)
    q, k, v = arguments["query"], arguments["key"], arguments["value"]
    if arguments["dropout_p"]:
        raise unsupported(node, "drops entries at random")
    if arguments["enable_gqa"]:
        k, v = (_for_each_head(draft, shared, shape_of(q)[-3]) for shared in (k, v))
    given = arguments["scale"]
    scale = 1.0 / math.sqrt(shape_of(q)[-1]) if given is None else given
    rank = len(shape_of(k))
    k_t = draft.permute(k, [*range(rank - 2), rank - 1, rank - 2])
    logits = draft.call(aten.matmul.default, draft.call(aten.mul.Tensor, q, scale), k_t)
    mask = _mask(draft, node, shape_of(logits))
    if mask is not None:
        logits = draft.call(aten.add.Tensor, logits, mask)
    return draft.call(aten.matmul.default, draft.call(aten.softmax.int, logits, -1), v)


def _for_each_head(draft: Draft, x: fx.Node, heads: int) -> fx.Node:
    """Return keys or values that several heads share once for each head."""
    places = torch.arange(heads) // (heads // shape_of(x)[-3])
    name = draft.fresh_name(draft.path, "heads")
    axis = len(shape_of(x)) - 3
    return draft.call(aten.index_select.default, x, axis, draft.constant(name, places))


def _mask(draft: Draft, node: fx.Node, logits: tuple[int, ...]) -> Result:
    """Return what is added to the logits; a boolean mask becomes 0 and -inf."""
    arguments = bound(node)
    mask = arguments["attn_mask"]
    if arguments["is_causal"]:
        keep = torch.ones(logits[-2:], dtype=torch.bool).tril()
    elif mask is None or mask.meta["val"].dtype != torch.bool:
        return mask
    elif mask.op == "get_attr":
        keep = draft.constants[mask.target]
    else:
        raise unsupported(node, "has a boolean mask of data")
    value = torch.zeros(keep.shape, device=keep.device).masked_fill(~keep, float("-inf"))
    return draft.constant(draft.fresh_name(draft.path, "mask"), value)
