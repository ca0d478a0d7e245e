"""Biases as an integer model holds them: whole multiples of the scale of its products."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of, weight_of
from hybridquant.quant_graph import QuantGraph
from hybridquant.quantizers.affine import AffineFakeQuant

_KINDS = frozenset({"conv1d", "conv2d", "conv3d", "linear"})


def with_integer_biases(graph: QuantGraph) -> fx.GraphModule:
    """Return a module that computes ``graph`` with rounded biases, for training.

    An integer model adds ``rint(bias / (s_x s_w))`` to its sums of products (docs/arithmetic.md).
    With 4-bit codes that step is a large one: a graph that learns without it is another model than
    the one in integers. The gradient of the rounding is 1; scales get none through it.

    Args:
        graph: Its parameters and modules are shared, not copied; it is not changed.
    """
    copied: dict[fx.Node, fx.Node] = {}
    copy = fx.Graph()
    output = copy.graph_copy(graph.graph, copied)
    assert output is not None
    copy.output(output)
    for consumer, bias, steps in _biases(graph):
        node = copied[consumer]
        with copy.inserting_before(node):
            scales = [copy.get_attr(f"{name}.scale") for name in steps]
            rounded = copy.call_function(_rounded, (copied[bias], *scales))
        arguments = list(args_of(node))
        arguments[2] = rounded
        node.args = tuple(arguments)
    return fx.GraphModule(graph, copy)


@torch.no_grad()
def round_biases(graph: QuantGraph) -> None:
    """Round the biases of ``graph``, in place, to those of its integer model."""
    for _, bias, steps in _biases(graph):
        x_scale, weight_scale = (graph.get_parameter(f"{name}.scale") for name in steps)
        value = weight_of(graph, bias)
        value.copy_(_whole(value, x_scale, weight_scale))


def _biases(graph: QuantGraph) -> Iterator[tuple[fx.Node, fx.Node, list[str]]]:
    """Yield each layer whose sums are of codes: its node, its bias, its two fake-quant modules.

    Left out are layers that read the image: an integer model reads its bytes, on another grid.
    """
    for node in graph.graph.nodes:
        if node.op != "call_function" or node.meta["kind"] not in _KINDS:
            continue
        x, weight, bias = (*args_of(node), None, None)[:3]
        if not isinstance(bias, fx.Node) or bias.op != "get_attr":
            continue
        steps = [source for source in (x, weight) if source.op == "call_module"]
        modules = [graph.get_submodule(str(source.target)) for source in steps]
        is_image = x.op == "call_module" and args_of(x)[0].op == "placeholder"
        if len(steps) < 2 or is_image or not all(isinstance(m, AffineFakeQuant) for m in modules):
            continue
        sizes = [graph.get_parameter(f"{source.target}.scale").numel() for source in steps]
        if sizes[0] in (1, sizes[1]):
            yield node, bias, [str(source.target) for source in steps]


def _rounded(bias: Tensor, x_scale: Tensor, weight_scale: Tensor) -> Tensor:
    return bias + (_whole(bias, x_scale, weight_scale) - bias).detach()


def _whole(bias: Tensor, x_scale: Tensor, weight_scale: Tensor) -> Tensor:
    step = x_scale.detach() * weight_scale.detach()
    return torch.round(bias.detach() / step) * step
