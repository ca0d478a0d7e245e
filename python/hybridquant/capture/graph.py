"""FloatGraph: a captured model as an fx.GraphModule whose nodes carry plain data."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

Row = tuple[str, str, Any, Any, Any, dict[str, Any]]


class FloatGraph(fx.GraphModule):
    """A captured model: an ordinary ``nn.Module`` that runs ATen operators node by node.

    Parameters keep the names they have in the user's model. Each node's ``meta`` holds plain data:

    * ``kind``: operator kind (docs/operators.md), or ``input``, ``parameter``, ``output``;
    * ``path``: module path in the user's model, e.g. ``stages.2.1.conv_1x1``; ``""`` is the root;
    * ``shape``: tuple of ints, -1 on the axis that holds the batch; None for the output node;
    * ``batch_factor``: how many entries that axis has per image (4 where 2 x 2 patches were merged
      into the batch), 0 where no axis holds the batch;
    * ``dtype``: e.g. ``"float32"``; None for the output node;
    * ``block``: path of the repeated unit the node belongs to, or None;
    * ``bridge``: index of the bridge the node belongs to, or None.

    Deepcopy, pickle and ``torch.save`` keep the nodes' names, targets and meta, and any further
    attribute of the instance.
    """

    def __init__(self, root: nn.Module, graph: fx.Graph, class_name: str = "FloatGraph") -> None:
        super().__init__(root, graph, class_name)

    def __call__(self, x: Tensor) -> Any:
        """Run the graph.

        Args:
            x: Images of the captured size, any batch. # [batch, channels, height, width]

        Raises:
            TypeError: If ``x`` is no tensor of the parameters' dtype.
            ValueError: If it has another size than the graph was captured with.
        """
        # A trace must not record the check, nor an export guard on it.
        is_traced = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        if not (is_traced or torch.compiler.is_compiling()):
            shape = self.graph.find_nodes(op="placeholder")[0].meta["shape"]
            _check_input(x, shape, next((p.dtype for p in self.parameters()), torch.float32))
        return super().__call__(x)

    def __reduce__(self) -> tuple[Callable[..., FloatGraph], tuple[Any, ...]]:
        """Pickle the module tree and the nodes as plain data, where fx would pickle source code."""
        return _rebuild, (_user_class(type(self)), _state(self), graph_to_rows(self.graph))

    def __deepcopy__(self, memo: dict[int, Any]) -> FloatGraph:
        state = copy.deepcopy(_state(self), memo)
        return _rebuild(_user_class(type(self)), state, graph_to_rows(self.graph))


def weight_of(graph: FloatGraph, node: fx.Node) -> Tensor:
    """Return the parameter or constant that a ``get_attr`` node reads."""
    owner, _, name = str(node.target).rpartition(".")
    value: Tensor = getattr(graph.get_submodule(owner), name)
    return value


def args_of(node: fx.Node) -> tuple[Any, ...]:
    """Return the node's arguments; fx types them too loosely to be of use."""
    return node.args


def shape_for_one(node: fx.Node) -> tuple[int, ...]:
    """Return the sizes of a node's value for one image."""
    factor = node.meta["batch_factor"]
    return tuple(factor if size == -1 else size for size in node.meta["shape"])


def _check_input(x: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    if not isinstance(x, Tensor) or x.dtype != dtype:
        got = x.dtype if isinstance(x, Tensor) else type(x).__name__
        msg = f"FloatGraph: x must be a {dtype} tensor, got {got}; apply the model's transform"
        raise TypeError(msg)
    if x.shape[1:] != shape[1:]:
        sizes = ", ".join(str(size) for size in shape[1:])
        msg = (
            f"FloatGraph: x must have shape [batch, {sizes}], got {list(x.shape)}; capture the "
            "model with an example of that size"
        )
        raise ValueError(msg)


def _state(module: FloatGraph) -> dict[str, Any]:
    return {key: value for key, value in module.__dict__.items() if key not in _MADE_FROM_GRAPH}


# What setting ``graph`` makes.
_MADE_FROM_GRAPH = frozenset({"_graph", "_code", "_lineno_map", "_prologue_start"})


def _user_class(generated: type) -> type:
    # fx gives every GraphModule instance a class of its own, whose qualified name ends so.
    return next(c for c in generated.__mro__ if not c.__qualname__.endswith("GraphModuleImpl"))


def _rebuild(cls: type[FloatGraph], state: dict[str, Any], rows: list[Row]) -> FloatGraph:
    module: FloatGraph = cls.__new__(cls)
    type(module).__name__ = cls.__name__
    nn.Module.__init__(module)
    module.__dict__.update(state)
    module.graph = rows_to_graph(rows)
    return module


class _Ref:
    """Stands for a node inside pickled arguments."""

    def __init__(self, name: str) -> None:
        self.name = name


def graph_to_rows(graph: fx.Graph) -> list[Row]:
    """Return each node in order as a picklable (op, name, target, args, kwargs, meta)."""
    rows = []
    for node in graph.nodes:
        args = _map(node.args, fx.Node, lambda n: _Ref(n.name))
        kwargs = _map(node.kwargs, fx.Node, lambda n: _Ref(n.name))
        rows.append((node.op, node.name, _pack(node.target), args, kwargs, dict(node.meta)))
    return rows


def rows_to_graph(rows: list[Row]) -> fx.Graph:
    """Return the graph that ``graph_to_rows`` described."""
    graph = fx.Graph()
    nodes: dict[str, fx.Node] = {}
    for op, name, target, args, kwargs, meta in rows:
        args = _map(args, _Ref, lambda ref: nodes[ref.name])
        kwargs = _map(kwargs, _Ref, lambda ref: nodes[ref.name])
        function = _unpack(target) if op == "call_function" else target
        node = graph.create_node(op, function, args, kwargs, name)
        node.meta.update(meta)
        nodes[name] = node
    return graph


def _map(value: Any, leaf: type, change: Callable[[Any], Any]) -> Any:
    """Return ``value`` in plain tuples, lists and dicts, with each ``leaf`` changed."""
    if isinstance(value, leaf):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_map(item, leaf, change) for item in value)
    if isinstance(value, list):
        return [_map(item, leaf, change) for item in value]
    if isinstance(value, dict):
        return {key: _map(item, leaf, change) for key, item in value.items()}
    return value


def _pack(target: Any) -> Any:
    """Return ``aten::conv2d.default``-like text for an operator; others pickle as they are."""
    if isinstance(target, torch._ops.OpOverload):
        return f"{target.namespace}::{target.__name__}"
    return target


def _unpack(target: Any) -> Any:
    if not isinstance(target, str):
        return target
    namespace, _, name = target.partition("::")
    packet, _, overload = name.partition(".")
    return getattr(getattr(getattr(torch.ops, namespace), packet), overload)
