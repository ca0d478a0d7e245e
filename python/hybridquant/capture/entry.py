"""capture: a module and an example become a FloatGraph."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from hybridquant.capture.assemble import assemble
from hybridquant.capture.attention_masks import bound_masks
from hybridquant.capture.blocks import find_blocks
from hybridquant.capture.bridges import find_bridges
from hybridquant.capture.cleanup import find_activations, merge_views, repeat_borders
from hybridquant.capture.constants import fold_constants, restore_names
from hybridquant.capture.errors import CaptureError, UnsupportedOperatorError
from hybridquant.capture.export import make_functional, trace
from hybridquant.capture.fold import fold_channels
from hybridquant.capture.graph import FloatGraph
from hybridquant.capture.normalize import normalize
from hybridquant.capture.spelled_norms import find_norms
from hybridquant.progress import track


def capture(model: nn.Module, example: Tensor) -> FloatGraph:
    """Return the model's inference graph in the operator vocabulary, for any batch size.

    BatchNorm, LayerScale and constants are folded; the graph equals the model within float32
    rounding. The model is not changed and shares no memory with the graph.

    Cost: a few seconds of tracing, behind a progress bar on a terminal; copies the weights once.

    Args:
        model: A float32 vision model in eval mode, images to logits (or tuples, lists, dicts of
            tensors).
        example: Images of the size to capture, float32, any batch size; values do not matter.
            # [batch, channels, height, width]

    Raises:
        TypeError: If an argument has the wrong type or dtype.
        ValueError: If the model is in training mode or does not accept the example.
        CaptureError: If the model cannot be copied, or torch.export cannot trace it.
        UnsupportedOperatorError: If it uses an operator outside the vocabulary; it is a
            NotImplementedError.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
        >>> graph = capture(model, torch.zeros(1, 3, 8, 8))
        >>> [node.meta["kind"] for node in graph.graph.nodes if node.op == "call_function"]
        ['conv2d', 'relu']
    """
    _check_model(model)
    _check_example(example)
    *_, graph = track(_stages(model, example), "capture", total=_NUM_STAGES)
    return cast(FloatGraph, graph)


_NUM_STAGES = 4


def _stages(model: nn.Module, example: Tensor) -> Iterator[FloatGraph | None]:
    """Yield at the end of each stage: None, and the graph at the end of the last."""
    try:
        program = trace(_isolated(model), example)
        yield None
        draft, out_spec = make_functional(program, example.device)
    except (CaptureError, UnsupportedOperatorError):
        _check_forward(_isolated(model), example)
        raise
    yield None
    draft.sweep()
    fold_constants(draft)
    normalize(draft)
    yield None
    fold_constants(draft)
    bound_masks(draft)
    find_norms(draft)
    fold_channels(draft)
    merge_views(draft)
    find_activations(draft)
    repeat_borders(draft)
    restore_names(draft)
    graph = assemble(draft, out_spec)
    _mark(graph, model)
    yield graph


def _mark(graph: FloatGraph, model: nn.Module) -> None:
    """Enter blocks and bridges in the nodes' meta."""
    blocks = find_blocks(graph.graph, model)
    for node in graph.graph.nodes:
        node.meta["block"] = blocks.get(node.name)
    nodes = {node.name: node for node in graph.graph.nodes}
    for bridge in reversed(find_bridges(graph)):
        for name in bridge.nodes:
            nodes[name].meta["bridge"] = bridge.index


def _check_model(model: nn.Module) -> None:
    if not isinstance(model, nn.Module):
        msg = f"capture: model must be an nn.Module, got {type(model).__name__}"
        raise TypeError(msg)
    training = next((name for name, module in model.named_modules() if module.training), None)
    if training is not None:
        what = f"module {training!r}" if training else "it"
        msg = f"capture: model must be in eval mode, got {what} in training mode; call model.eval()"
        raise ValueError(msg)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            msg = (
                f"capture: model must hold float32 weights, got {tensor.dtype} in {name!r}; "
                "call model.float()"
            )
            raise TypeError(msg)


def _check_example(example: Tensor) -> None:
    if not isinstance(example, Tensor):
        msg = f"capture: example must be a torch.Tensor, got {type(example).__name__}"
        raise TypeError(msg)
    if example.dtype != torch.float32:
        msg = (
            f"capture: example must be float32, got {example.dtype}; scale and normalise the "
            "images as the model expects"
        )
        raise TypeError(msg)
    if example.dim() != 4 or 0 in example.shape:
        msg = (
            "capture: example must have shape [batch, channels, height, width] without a zero, "
            f"got {list(example.shape)}"
        )
        raise ValueError(msg)


def _isolated(model: nn.Module) -> nn.Module:
    """Return a copy that shares all tensors, so that what ``forward`` caches stays in the copy."""
    memo: dict[int, Any] = {}
    stack: list[Any] = [module.__dict__ for module in model.modules()]
    seen: set[int] = set()
    while stack:
        item = stack.pop()
        if isinstance(item, Tensor):
            memo[id(item)] = item
        elif isinstance(item, (dict, list, tuple)) and id(item) not in seen:
            seen.add(id(item))
            stack.extend(item.values() if isinstance(item, dict) else item)
    try:
        return copy.deepcopy(model, dict(memo))
    except Exception as error:
        msg = (
            f"capture: model must be copyable by copy.deepcopy, got {type(error).__name__}: "
            f"{error}{_uncopyable(model, memo)}; make that object in forward, or give the class "
            "that holds it a __deepcopy__"
        )
        raise CaptureError(msg) from None


def _uncopyable(model: nn.Module, memo: dict[int, Any]) -> str:
    """Return which attribute of which module cannot be copied, or ``""``."""
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name in ("_modules", "_parameters", "_buffers"):
                continue
            try:
                copy.deepcopy(value, dict(memo))
            except Exception:  # whatever copying it raises, which the caller reports
                return f" in attribute {'.'.join(filter(None, (path, name)))!r}"
    return ""


def _check_forward(model: nn.Module, example: Tensor) -> None:
    """Run the model, so that a wrong example is not mistaken for a model that cannot be traced."""
    try:
        with torch.no_grad():
            model(example[:1])
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        msg = (
            f"capture: example must be images the model accepts, got shape {list(example.shape)}: "
            f"{type(error).__name__}: {first}"
        )
        raise ValueError(msg) from None
