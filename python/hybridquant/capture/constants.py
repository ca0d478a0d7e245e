"""Fold what does not depend on the images, for any batch size."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from hybridquant.capture.draft import BATCH, Draft, aten, has_batch, is_tensor, shape_of
from hybridquant.capture.errors import UnsupportedOperatorError, unsupported
from hybridquant.capture.functions import expand_batch

# Their values come from their sizes alone, so a tensor argument does not make them data.
_FROM_SIZE = frozenset(
    {
        aten.zeros_like.default,
        aten.ones_like.default,
        aten.full_like.default,
        aten.new_zeros.default,
        aten.new_ones.default,
        aten.new_full.default,
        aten.new_empty.default,
        aten.empty_like.default,
    }
)

# A model that reads what they return has written all of it before.
_UNSET = frozenset(
    {
        aten.empty.memory_format,
        aten.empty_like.default,
        aten.empty_permuted.default,
        aten.empty_strided.default,
        aten.new_empty.default,
    }
)


def fold_constants(draft: Draft) -> None:
    """Replace every subgraph that does not read the images by its value.

    A value that has the batch on an axis (a class token, an encoding made of ``zeros([batch])``) is
    computed for two batch sizes, must be the same for each image, and is kept for one image:
    operators broadcast it, others read it through ``expand_batch``.

    Raises:
        UnsupportedOperatorError: If the value differs between images of a batch, or between batch
            sizes.
    """
    constant = _constant_nodes(draft)
    evaluate = _Evaluator(draft, constant)
    folded = [node for node in draft.graph.nodes if node in constant and _is_read(node, constant)]
    for node in folded:  # All before the first is replaced, whose readers would find no value.
        for batch in (2, 3):
            evaluate(node, batch)
    for node in folded:
        with draft.at(node):
            draft.replace(node, _fold(draft, node, evaluate))
    draft.sweep()


def _constant_nodes(draft: Draft) -> set[fx.Node]:
    constant: set[fx.Node] = set()
    for node in draft.graph.nodes:
        if node.op == "get_attr":
            constant.add(node)
        elif node.op == "call_function":
            is_number = not isinstance(node.meta["val"], (Tensor, list, tuple))
            if is_number or node.target in _FROM_SIZE or constant.issuperset(node.all_input_nodes):
                constant.add(node)
    return constant


def _is_read(node: fx.Node, constant: set[fx.Node]) -> bool:
    """Say whether ``node`` is a computed tensor that others than constant nodes read."""
    is_computed = node.op == "call_function" and is_tensor(node)
    return is_computed and any(user not in constant for user in node.users)


class _Evaluator:
    """Computes constant nodes for a given batch size, each once."""

    def __init__(self, draft: Draft, constant: set[fx.Node]) -> None:
        self._draft = draft
        self._constant = constant
        self._known: dict[tuple[fx.Node, int], Any] = {}

    def __call__(self, node: fx.Node, batch: int) -> Any:
        """Return the node's value for ``batch`` images."""
        if (node, batch) not in self._known:
            self._known[node, batch] = self._compute(node, batch)
        return self._known[node, batch]

    def _compute(self, node: fx.Node, batch: int) -> Any:
        if node.op == "get_attr":
            return self._draft.constants[str(node.target)].detach()
        operator: Any = node.target
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: self._input(n, batch))
        with torch.no_grad():
            value = operator(*args, **kwargs)
        return value.zero_() if operator in _UNSET else value

    def _input(self, node: fx.Node, batch: int) -> Any:
        if node in self._constant:
            return self(node, batch)
        sizes = [size // BATCH * batch if has_batch(size) else size for size in shape_of(node)]
        return torch.empty(sizes, dtype=node.meta["val"].dtype, device=self._draft.device)


def _fold(draft: Draft, node: fx.Node, evaluate: _Evaluator) -> fx.Node:
    """Insert the value of a constant node and return the node that yields it."""
    axes = [axis for axis, size in enumerate(shape_of(node)) if has_batch(size)]
    two, three = evaluate(node, 2), evaluate(node, 3)
    if not axes:
        if not torch.equal(two, three):
            raise _differs(node)
        return _store(draft, node, two)
    if len(axes) > 1:
        raise _differs(node)
    factor = shape_of(node)[axes[0]] // BATCH
    share = two.narrow(axes[0], 0, factor)
    for value, batch in ((two, 2), (three, 3)):
        if not torch.equal(value, torch.cat([share] * batch, axes[0])):
            raise _differs(node)
    stored = _store(draft, node, share.clone())
    if factor == 1 and all(_broadcasts(user, node, axes[0]) for user in node.users):
        return stored
    return draft.call(expand_batch, stored, draft.input, axes[0], factor)


def _differs(node: fx.Node) -> UnsupportedOperatorError:
    reason = "makes a constant that is not the same for each image and batch size"
    return unsupported(node, reason)


def _broadcasts(user: fx.Node, node: fx.Node, axis: int) -> bool:
    """Say whether another operand of ``user`` brings the batch on the same axis."""
    if user.target not in (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor):
        return False
    place = axis - len(shape_of(node))
    others = [shape_of(n) for n in user.all_input_nodes if n is not node]
    return any(len(o) >= -place and o[place] == shape_of(node)[axis] for o in others)


def _store(draft: Draft, node: fx.Node, value: Tensor) -> fx.Node:
    """Keep ``value``; it is trainable where a parameter went into it."""
    sources = _parameters_behind(draft, node)
    value = value.contiguous()
    if value.is_floating_point() and sources:
        trainable = any(draft.constants[name].requires_grad for name in sources)
        value = nn.Parameter(value.clone(), requires_grad=trainable)
    name = draft.fresh_name(node.meta["path"], "constant")
    same = [s for s in sources if draft.constants[s].numel() == value.numel()]
    if len(same) == 1:
        draft.former_names[name] = same[0]
    return draft.constant(name, value)


def _parameters_behind(draft: Draft, node: fx.Node) -> list[str]:
    """Return the names of all parameters that ``node`` is computed from."""
    seen, stack = {node}, [node]
    names = set()
    while stack:
        current = stack.pop()
        name = str(current.target)
        if current.op == "get_attr" and isinstance(draft.constants[name], nn.Parameter):
            names.add(name)
        new = [n for n in current.all_input_nodes if n not in seen]
        seen.update(new)
        stack.extend(new)
    return sorted(names)


def restore_names(draft: Draft) -> None:
    """Give a folded constant the name of the parameter it was made from, where that is free."""
    read = {node.target for node in draft.graph.nodes if node.op == "get_attr"}
    for name, former in draft.former_names.items():
        if name in read and former not in read:
            draft.constants[former] = draft.constants.pop(name)
            for node in draft.graph.nodes:
                if node.op == "get_attr" and node.target == name:
                    node.target = former
            read.add(former)
