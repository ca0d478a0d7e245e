"""How much each element of a unit's output matters for the logits, by gradients."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, fx
from torch.nn import functional as F

from hybridquant.layerwise.reconstruction import batch_axis
from hybridquant.layerwise.sweep import Visit
from hybridquant.layerwise.trainable import Values
from hybridquant.layerwise.units import Unit, unit_of
from hybridquant.quant_graph import QuantGraph

# Both divergences are of softmax(logits / temperature).
_TEMPERATURES = {"fisher": 1.0, "perturb": 20.0}
# Movement of an output, of its root mean square. APHQ-ViT moves by 1e-6, which float32 gradients
# do not show; the gradient is proportional to it as long as it is small.
_MOVE = 1e-3
# Images at a time: the rest of the model keeps what its gradient needs.
_CHUNK = 4


def gradient_weights(
    graph: QuantGraph, unit: Unit, images: Tensor, kind: Literal["fisher", "perturb"]
) -> Values:
    """Return what each element of a unit's outputs counts, a mean over images.

    ``fisher``: ``(|g| + 1) ** 2``, g the gradient of the divergence between the logits of the model
    that is quantized up to the unit, and the float logits. ``perturb``: ``|g(+) - g(-)|``, g(+) and
    g(-) that gradient in the float model with all elements moved up and down, divided by its mean.
    The logits themselves have no such weights: softmax does not see all of them move.

    Costs two to five runs of the model over ``images``, and gradients.

    Args:
        graph: The graph.
        unit: Whose outputs.
        images: [batch, channels, height, width]
        kind: Which.

    Shape:
        That of the outputs for one image, ``batch_factor`` entries on the batch axis.
    """
    rest = _Rest(graph, unit, images, kind)
    if rest.is_empty and kind == "perturb":
        return {}
    return {node: rest.weight(node) for node in unit.outputs if node.meta["batch_factor"]}


class _Rest:
    """The model cut behind a unit, and what flows over the cut for some images."""

    def __init__(self, graph: QuantGraph, unit: Unit, images: Tensor, kind: str) -> None:
        nodes = [node for node in graph.graph.nodes if node.op == "call_function"]
        end = nodes.index(unit.nodes[-1]) + 1
        self._graph, self._kind, self._temperature = graph, kind, _TEMPERATURES[kind]
        self._head = Visit(graph, unit_of(nodes[:end]), [])
        self._tail = Visit(graph, unit_of(nodes[end:]), []) if nodes[end:] else None
        self._images = images.split(_CHUNK)
        self._num_images = len(images)

    @property
    def is_empty(self) -> bool:
        """Whether nothing follows the unit."""
        return self._tail is None

    def weight(self, node: fx.Node) -> Tensor:
        """Return what each element of the value of ``node`` counts."""
        sums = [self._weight(node, x) for x in self._images]
        weight = torch.stack(sums).sum(0) / self._num_images
        return weight / weight.mean() if self._kind == "perturb" and weight.any() else weight

    def _weight(self, node: fx.Node, images: Tensor) -> Tensor:
        (image,) = self._graph.graph.find_nodes(op="placeholder")
        with torch.no_grad():
            floats = self._head.run_float({image: images})
            logits = self._logits(floats)
        if self._kind == "fisher":
            with torch.no_grad():
                values = self._head.run({image: images})
            weight = (self._gradient(node, values, values[node], logits).abs() + 1).square()
        else:
            x = floats[node]
            move = _MOVE * x.square().mean().sqrt()
            above, below = (self._gradient(node, floats, x + m, logits) for m in (move, -move))
            weight = (above - below).abs()
        axis, factor = batch_axis(node), node.meta["batch_factor"]
        result: Tensor = weight.unflatten(axis, (-1, factor)).sum(axis)
        return result

    def _gradient(self, node: fx.Node, values: Values, x: Tensor, logits: Tensor) -> Tensor:
        """Return the gradient of the divergence from ``logits``, summed over images."""
        x = x.detach().requires_grad_(True)
        result = self._logits({**values, node: x}) / self._temperature
        wanted = (logits / self._temperature).softmax(-1)
        divergence = F.kl_div(result.log_softmax(-1), wanted, reduction="sum")
        (gradient,) = torch.autograd.grad(divergence, [x])
        return gradient

    def _logits(self, values: Values) -> Tensor:
        """Return all that the model returns, side by side."""
        results = values if self._tail is None else {**values, **self._tail.run_float(values)}
        (output,) = self._graph.graph.find_nodes(op="output")
        return torch.cat([results[node].flatten(1) for node in output.all_input_nodes], -1)
