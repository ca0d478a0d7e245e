"""From the finished draft to a FloatGraph: check the vocabulary, keep plain meta, copy weights."""

from __future__ import annotations

from operator import getitem
from typing import Any

from torch import Tensor, fx, nn
from torch.utils._pytree import TreeSpec, tree_unflatten

from hybridquant.capture.draft import BATCH, Draft, has_batch
from hybridquant.capture.errors import CaptureError, UnsupportedOperatorError, unsupported
from hybridquant.capture.graph import FloatGraph, args_of
from hybridquant.capture.vocabulary import OPERATORS

_STRUCTURAL = {"placeholder": "input", "get_attr": "parameter", "output": "output"}


def assemble(draft: Draft, out_spec: TreeSpec) -> FloatGraph:
    """Return the FloatGraph of ``draft``, with its own copy of every weight.

    Args:
        draft: After all passes.
        out_spec: Structure of the model's output.

    Raises:
        UnsupportedOperatorError: If operators are not in the vocabulary; the text lists all.
    """
    _check(draft)
    _shape_output(draft, out_spec)
    graph = _renamed(draft.graph)
    root = nn.Module()
    for node in graph.nodes:
        if node.op == "get_attr":
            value = draft.constants[str(node.target)]
            node.target = _free_name(str(node.target))
            _attach(root, node.target, value)
    return FloatGraph(root, graph).eval()


def _check(draft: Draft) -> None:
    calls = [node for node in draft.graph.nodes if node.op == "call_function"]
    strange = [n for n in calls if n.target not in OPERATORS and n.target is not getitem]
    found: dict[tuple[str, str], None] = {}
    for node in strange:
        if not isinstance(node.meta["val"], (Tensor, list, tuple)):
            user = next(iter(node.users), node)
            raise unsupported(user, "has the batch size among its arguments")
        found[str(node.target), node.meta["path"]] = None
    if found:
        (name, path), *others = found
        raise UnsupportedOperatorError(name, path, others=others)


def _shape_output(draft: Draft, out_spec: TreeSpec) -> None:
    """Return what the model returns: a tensor, or tuples, lists and dicts of tensors."""
    output = next(node for node in draft.graph.nodes if node.op == "output")
    tree = tree_unflatten(list(args_of(output)[0]), out_spec)
    if not _is_plain(tree):
        msg = (
            f"capture: model must return a tensor or tuples, lists and dicts of tensors, "
            f"got {type(tree).__name__}; wrap the model and pick the tensor"
        )
        raise CaptureError(msg)
    output.args = (tree,)


def _is_plain(tree: Any) -> bool:
    if isinstance(tree, dict):
        return all(_is_plain(item) for item in tree.values())
    if isinstance(tree, (tuple, list)):
        return type(tree) in (tuple, list) and all(_is_plain(item) for item in tree)
    return isinstance(tree, fx.Node)


def _renamed(graph: fx.Graph) -> fx.Graph:
    """Return a copy with plain meta, nodes named by kind, weights read just before use."""
    result = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}

    def copy(node: fx.Node) -> fx.Node:
        if node not in copies:
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), copy)
            meta = _plain_meta(node)
            target = "x" if node.op == "placeholder" else node.target
            name = meta["kind"] if node.op in ("call_function", "output") else str(target)
            copies[node] = result.create_node(node.op, target, args, kwargs, name.replace(".", "_"))
            copies[node].meta.update(meta)
        return copies[node]

    for node in graph.nodes:
        if node.op != "get_attr":
            copy(node)
    return result


def _plain_meta(node: fx.Node) -> dict[str, Any]:
    operator: Any = node.target
    kind = _STRUCTURAL.get(node.op) or OPERATORS[operator]
    meta = {"kind": kind, "path": node.meta["path"], "shape": None, "batch_factor": 0}
    meta |= {"dtype": None, "block": None, "bridge": None}
    if node.op == "output":
        return meta
    value = node.meta["val"]
    factors = [size // BATCH for size in value.shape if has_batch(size)]
    if len(factors) > 1:
        reason = "makes a tensor with the batch on several axes, so that it mixes images"
        raise unsupported(node, reason)
    meta["shape"] = tuple(-1 if has_batch(size) else size for size in value.shape)
    meta["batch_factor"] = factors[0] if factors else 0
    meta["dtype"] = str(value.dtype).removeprefix("torch.")
    return meta


def _free_name(name: str) -> str:
    """Return ``name``, with an underscore where it would hide an attribute of the graph itself.

    ``fake_quant`` is where a QuantGraph keeps its modules.
    """
    first, dot, rest = name.partition(".")
    is_taken = hasattr(FloatGraph, first) or first in ("meta", "fake_quant")
    return f"{first}_{dot}{rest}" if is_taken else name


def _attach(root: nn.Module, name: str, value: Tensor) -> None:
    """Put a copy of ``value`` into ``root`` under its dotted name."""
    *parents, leaf = name.split(".")
    owner = root
    for parent in parents:
        if parent not in owner._modules:
            owner.add_module(parent, nn.Module())
        owner = owner.get_submodule(parent)
    if leaf in owner._parameters or leaf in owner._buffers:
        return
    copy = value.detach().clone()
    if isinstance(value, nn.Parameter):
        owner.register_parameter(leaf, nn.Parameter(copy, requires_grad=value.requires_grad))
    else:
        owner.register_buffer(leaf, copy)
