"""The pass ``observe``: watch every quantized edge on calibration images, then set its range."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hybridquant.calibration import Calibration
from hybridquant.capture.attention_masks import is_masked
from hybridquant.capture.graph import args_of
from hybridquant.distributed import Processes
from hybridquant.observers import OBSERVERS, Observer
from hybridquant.observers.samples_observer import SamplesObserver
from hybridquant.passes import PASSES
from hybridquant.progress import track
from hybridquant.quant_graph import QuantEdge, QuantGraph
from hybridquant.quantizers import SelfCalibrating

# Below the largest logit of a row: a share of exp(-16), 1e-7.
_FAR_BELOW = 16.0


@PASSES.register("observe")
def observe(graph: QuantGraph, calibration: Calibration) -> QuantGraph:
    """Set scale and zero-point of every fake-quant module from what flows through it.

    Quantizers that choose their own parameters do so by least squared error; the rule's observer
    does not matter to them.

    The graph runs in float (every fake-quant module off) while observers watch. Weights are the
    same in every batch and are observed once. Masked logits of a softmax count as 16 below the
    largest of their row: their share is 0 wherever they are.

    Where processes calibrate together, each watches its share of the batches, and what their
    observers saw is merged exactly: the parameters are those of one process.

    Costs one pass over the data, the memory of the observers (at most a histogram an edge) and no
    gradient.

    Args:
        graph: The graph to calibrate, changed in place.
        calibration: Images like those the model will see.

    Returns:
        ``graph``, calibrated.

    Raises:
        ValueError: If an edge sees values that are not finite; the text names the edge.
    """
    # By module: edges that share one see the same tensor.
    edges = {edge.module: edge for edge in graph.quant_edges}
    axes = _masked_axes(graph)
    watchers = [_Watcher(graph, edge, axes.get(edge.module)) for edge in edges.values()]
    try:
        with torch.no_grad(), graph.fake_quant_off():
            for x in track(calibration.share(), "calibrate"):
                graph(x)
    finally:
        for watcher in watchers:
            watcher.hook.remove()
    for watcher in track(watchers, "choose ranges"):
        watcher.merge(calibration.processes)
        watcher.set_parameters()
    return graph


def _masked_axes(graph: QuantGraph) -> dict[str, int]:
    """Return the modules that only softmaxes of masked logits read, with the axis of these."""
    nodes = {node.name: node for node in graph.graph.nodes}
    axes: dict[str, int] = {}
    others = set()
    for edge in graph.quant_edges:
        node = nodes[edge.edge.node]
        if edge.edge.kind == "softmax" and is_masked(graph, node):
            axes[edge.module] = args_of(node)[1]
        else:
            others.add(edge.module)
    return {module: axis for module, axis in axes.items() if module not in others}


class _Watcher:
    """Feeds one edge's tensors to its observer, by a hook on its fake-quant module.

    Args:
        graph: The graph.
        edge: The edge.
        masked_axis: Axis of the softmax that reads it, where its logits are masked.
    """

    def __init__(self, graph: QuantGraph, edge: QuantEdge, masked_axis: int | None) -> None:
        axis = edge.channel_axis if edge.spec.granularity == "channel" else None
        self.module = graph.module_of(edge)
        chooses = isinstance(self.module, SelfCalibrating)
        kind = SamplesObserver if chooses else OBSERVERS[edge.spec.observer]
        self.observer: Observer = kind(edge.spec, axis)
        self.hook = self.module.register_forward_pre_hook(self._watch)
        self._edge = edge.edge
        self._masked_axis = masked_axis
        self._is_done = False

    def set_parameters(self) -> None:
        """Calibrate the module."""
        if isinstance(self.module, SelfCalibrating):
            assert isinstance(self.observer, SamplesObserver)
            self.module.calibrate(self.observer.samples())
        else:
            self.module.set_parameters(*self.observer.quantization_parameters())

    def merge(self, processes: Processes) -> None:
        """Take in what the other processes saw after and before this one.

        A weight is the same in each; the first, whose share is never empty, has seen it.
        """
        is_weight = self._edge.operand == "weight"
        is_sent = processes.is_first or not is_weight
        found = processes.gather(self.observer if is_sent else None)
        self.observer, *others = [observer for observer in found if observer is not None]
        for observer in others:
            self.observer.merge(observer)

    def _watch(self, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if self._is_done:
            return
        x: Tensor = inputs[0].detach()
        if self._masked_axis is not None:
            x = torch.maximum(x, x.amax(self._masked_axis, keepdim=True) - _FAR_BELOW)
        try:
            self.observer.observe(x)
        except ValueError as error:
            where = f"{self._edge.node} ({self._edge.path or 'the model itself'})"
            msg = f"observe: {self._edge.operand} of {where}: {error}"
            raise ValueError(msg) from error
        self._is_done = self._edge.operand == "weight"
