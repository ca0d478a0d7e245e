"""An IntGraph as plain data and tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from hybridquant.data import DataConfig
from hybridquant.export.nibbles import pack_nibbles
from hybridquant.lower.int_graph import ChannelCodes, IntGraph, IntNode, IntTensor


@dataclass(frozen=True)
class Preprocessing:
    """How a photograph becomes the image of an integer model.

    The fields are those of ``DataConfig``; mean and std are in the model's tables.

    Args:
        input_size: (channels, height, width).
        interpolation: As in ``DataConfig``.
        crop_pct: Size of the crop as a share of the resized image, above 0, at most 1.
        crop_mode: As in ``DataConfig``.
    """

    input_size: tuple[int, int, int]
    interpolation: str
    crop_pct: float
    crop_mode: str


def graph_to_data(
    graph: IntGraph, config: DataConfig, classes: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return a graph as plain data, and its constants by their keys in the file."""
    tensors: dict[str, Tensor] = {}
    document = {
        "producer": f"hybridquant {version('hybridquant')}",
        "input": graph.input,
        "output": graph.output,
        "classes": list(classes),
        "preprocessing": {
            "interpolation": config.interpolation,
            "crop_pct": float(config.crop_pct),
            "crop_mode": config.crop_mode,
        },
        "tensors": [_tensor_to_data(tensor, tensors) for tensor in graph.tensors.values()],
        "nodes": [_node_to_data(i, node, tensors) for i, node in enumerate(graph.nodes)],
    }
    return document, tensors


def _tensor_to_data(tensor: IntTensor, tensors: dict[str, Tensor]) -> dict[str, Any]:
    key = None
    if tensor.value is not None:
        key = f"tensors.{tensor.name}"
        tensors[key] = tensor.value
    codes = tensor.codes
    data = {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": codes.dtype,
        "scale": codes.largest_scale if isinstance(codes, ChannelCodes) else codes.scale,
        "zero_point": codes.zero_point,
        "lowest": codes.lowest,
        "highest": codes.highest,
        "value": key,
    }
    if isinstance(codes, ChannelCodes):
        data["channels"] = {
            "axis": codes.axis,
            "scales": list(codes.scales),
            "zero_points": list(codes.zero_points),
        }
    return data


def _node_to_data(index: int, node: IntNode, tensors: dict[str, Tensor]) -> dict[str, Any]:
    constants: dict[str, Any] = {}
    for name, value in node.constants.items():
        key = f"nodes.{index}.{name}"
        is_packed = name == "weight" and value.dtype == torch.int8 and _fits_4_bits(value)
        constants[name] = {"key": key, "bits": 4, "shape": list(value.shape)} if is_packed else key
        tensors[key] = pack_nibbles(value) if is_packed else value
    return {
        "op": node.op,
        "inputs": list(node.inputs),
        "output": node.output,
        "path": node.path,
        "attributes": dict(node.attributes),
        "constants": constants,
    }


def _fits_4_bits(codes: Tensor) -> bool:
    return codes.numel() > 0 and int(codes.min()) >= -8 and int(codes.max()) <= 7
