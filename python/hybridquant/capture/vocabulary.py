"""The operators a captured graph may call, and their kinds (docs/operators.md lists the same)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from hybridquant.capture.functions import expand_batch

aten = torch.ops.aten

OPERATORS: dict[Callable[..., Any], str] = {
    # Products with trained weights, and between activations.
    aten.conv1d.default: "conv1d",
    aten.conv2d.default: "conv2d",
    aten.conv3d.default: "conv3d",
    aten.conv_transpose2d.input: "conv_transpose2d",
    aten.linear.default: "linear",
    aten.matmul.default: "matmul",
    # Normalisations.
    aten.batch_norm.default: "batch_norm",
    aten.layer_norm.default: "layer_norm",
    aten.group_norm.default: "group_norm",
    aten.rms_norm.default: "rms_norm",
    aten.softmax.int: "softmax",
    aten.log_softmax.int: "log_softmax",
    aten.linalg_vector_norm.default: "vector_norm",
    # Element-wise arithmetic.
    aten.add.Tensor: "add",
    aten.sub.Tensor: "sub",
    aten.mul.Tensor: "mul",
    aten.div.Tensor: "div",
    aten.neg.default: "neg",
    aten.maximum.default: "maximum",
    aten.minimum.default: "minimum",
    # Activations.
    aten.relu.default: "relu",
    aten.clamp.default: "clamp",
    aten.leaky_relu.default: "leaky_relu",
    aten.prelu.default: "prelu",
    aten.elu.default: "elu",
    aten.silu.default: "silu",
    aten.gelu.default: "gelu",
    aten.hardswish.default: "hardswish",
    aten.hardsigmoid.default: "hardsigmoid",
    aten.sigmoid.default: "sigmoid",
    aten.tanh.default: "tanh",
    aten.softplus.default: "softplus",
    # Other functions of one number.
    aten.abs.default: "abs",
    aten.exp.default: "exp",
    aten.log.default: "log",
    aten.sqrt.default: "sqrt",
    aten.rsqrt.default: "rsqrt",
    aten.pow.Tensor_Scalar: "pow",
    aten.sin.default: "sin",
    aten.cos.default: "cos",
    aten.erf.default: "erf",
    # Reductions and pooling.
    aten.mean.dim: "mean",
    aten.sum.dim_IntList: "sum",
    aten.amax.default: "amax",
    aten.amin.default: "amin",
    aten.avg_pool2d.default: "avg_pool2d",
    aten.adaptive_avg_pool2d.default: "adaptive_avg_pool2d",
    aten.max_pool2d.default: "max_pool2d",
    # Resizing and padding.
    aten.upsample_bilinear2d.vec: "resize_bilinear",
    aten._upsample_bilinear2d_aa.vec: "resize_bilinear",
    aten.upsample_bicubic2d.vec: "resize_bicubic",
    aten._upsample_bicubic2d_aa.vec: "resize_bicubic",
    aten.upsample_nearest2d.vec: "resize_nearest",
    aten.constant_pad_nd.default: "pad",
    aten.reflection_pad1d.default: "pad",
    aten.reflection_pad2d.default: "pad",
    aten.replication_pad1d.default: "pad",
    aten.replication_pad2d.default: "pad",
    # Moving values.
    aten.reshape.default: "reshape",
    aten.permute.default: "permute",
    aten.slice.Tensor: "slice",
    aten.cat.default: "cat",
    aten.expand.default: "expand",
    expand_batch: "expand_batch",
    aten.index_select.default: "index_select",
}

# Kinds that only move values: no arithmetic, so a quantized tensor keeps its codes.
LAYOUT_KINDS = frozenset({"reshape", "permute", "slice", "expand", "expand_batch", "index_select"})

# Kinds of the nodes that are no operators.
STRUCTURAL_KINDS = frozenset({"input", "parameter", "output"})

KINDS = frozenset(OPERATORS.values())
