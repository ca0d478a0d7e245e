"""What learns in a QuantGraph: weights, biases, scales and zero-points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from hybridquant.capture.cost import num_elements
from hybridquant.quant_graph import QuantGraph
from hybridquant.quantizers.affine import AffineFakeQuant
from hybridquant.training.integer_biases import round_biases, with_integer_biases

# The smallest scale the operators take: its reciprocal is finite.
_SMALLEST_SCALE = 2.0**-126


def enable_learning(graph: QuantGraph, *, weight_steps: bool = True) -> Learning:
    """Let a calibrated graph learn: its weights and biases, its scales and its zero-points.

    Scales get LSQ's gradient factor ``1 / sqrt(n * qmax)``, n being the number of values that share
    the scale: weights, or features of one image. Zero-points of asymmetric activations learn
    through their rounding. Scales of other quantizers than ``affine`` stay as calibrated. Norms
    that were folded into weights are frozen with them.

    Args:
        graph: Changed in place: its parameters ask for gradients.
        weight_steps: Whether the scales of weights learn too.

    Raises:
        TypeError: If ``graph`` is no QuantGraph.
        ValueError: If it is not calibrated.

    Source:
        LSQ, arXiv:1902.08153, section 2.2: the factor, with the features of one image, so that it
        does not depend on the batch size. LSQ+, arXiv:2004.09576: the zero-point, here an integer
        in the forward pass.
    """
    if not isinstance(graph, QuantGraph):
        msg = f"enable_learning: graph must be a QuantGraph, got {type(graph).__name__}"
        raise TypeError(msg)
    nodes = {node.target: node for node in graph.graph.nodes}
    learned: dict[str, _Steps] = {}
    for edge in graph.quant_edges:
        module = graph.module_of(edge)
        if not bool(torch.isfinite(module.scale).all()):
            msg = f"enable_learning: graph must be calibrated, got no scale for {edge.module}"
            raise ValueError(msg)
        is_weight = edge.edge.operand == "weight"
        if isinstance(module, AffineFakeQuant) and (weight_steps or not is_weight):
            is_shifted = edge.spec.scheme == "asymmetric" and not is_weight
            num_values = num_elements(nodes[edge.module]) / module.scale.numel()
            module.grad_factor = 1.0 / math.sqrt(num_values * module.qmax)
            module.scale.requires_grad_(True)
            module.zero_point.requires_grad_(is_shifted)
            learned[edge.module] = _Steps(module, is_shifted)
    read = [str(node.target) for node in graph.graph.nodes if node.op == "get_attr"]
    parameters = dict(graph.named_parameters())
    weights = [parameters[name] for name in dict.fromkeys(read) if name in parameters]
    return Learning(graph, [p for p in weights if p.requires_grad], tuple(learned.values()))


@dataclass(frozen=True)
class _Steps:
    """The fake-quant module whose scale learns, and whether its zero-point does."""

    module: AffineFakeQuant
    is_shifted: bool


class Learning:
    """The parameters of a graph that learn, for any optimizer of torch.

    ``enable_learning`` makes it.

    Args:
        graph: The graph.
        weights: Its weights and biases that ask for gradients.
        steps: Its modules whose scale learns.

    Attributes:
        graph: The graph.
        module: What to train: computes the graph with the biases that its integer model has. Its
            parameters are the graph's.
        weights: Weights and biases.
    """

    def __init__(
        self, graph: QuantGraph, weights: list[nn.Parameter], steps: tuple[_Steps, ...]
    ) -> None:
        self.graph = graph
        self.module = with_integer_biases(graph)
        self.weights = weights
        self._steps = steps

    @property
    def scales(self) -> list[nn.Parameter]:
        """The scales that learn."""
        return [step.module.scale for step in self._steps]

    @property
    def zero_points(self) -> list[nn.Parameter]:
        """The zero-points that learn."""
        return [step.module.zero_point for step in self._steps if step.is_shifted]

    def groups(self, lr: float, step_lr: float, weight_decay: float = 0.0) -> list[dict[str, Any]]:
        """Return the parameters as groups of an optimizer.

        Args:
            lr: Learning rate of weights and biases.
            step_lr: Learning rate of scales, as a ratio, and of zero-points, as a share of the code
                range, where ``guard`` is used.
            weight_decay: Of weights of two or more dimensions; the others have none.
        """
        large = [weight for weight in self.weights if weight.ndim >= 2]
        small = [weight for weight in self.weights if weight.ndim < 2]
        groups: list[dict[str, Any]] = [
            {"params": large, "lr": lr, "weight_decay": weight_decay},
            {"params": small, "lr": lr, "weight_decay": 0.0},
            {"params": [*self.scales, *self.zero_points], "lr": step_lr, "weight_decay": 0.0},
        ]
        return [group for group in groups if group["params"]]

    def guard(self, optimizer: Optimizer) -> None:
        """Let every step of ``optimizer`` move scales as logarithms and keep them legal.

        While the optimizer steps, a scale stands there as its logarithm and a zero-point as a share
        of the code range, their gradients accordingly. A rule such as Adam's, which moves every
        number by about its learning rate, then moves a scale by that ratio, however small it is,
        and scales stay positive; they also stay at least 2^-126, and zero-points within the codes.
        Without ``guard`` the optimizer moves both as they are, and a scale that is no longer
        positive is an error of the next forward pass.

        Source:
            Thresholds learn as logarithms in TQT, arXiv:1903.08066, section 3.
        """
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        scales = [s.module for s in self._steps if id(s.module.scale) in held]
        zero_points = [s.module for s in self._steps if id(s.module.zero_point) in held]
        optimizer.register_step_pre_hook(lambda *_: _to_relative(scales, zero_points))
        optimizer.register_step_post_hook(lambda *_: _to_absolute(scales, zero_points))

    def finish(self) -> QuantGraph:
        """Return the graph with whole zero-points and rounded biases, whose steps learn no more.

        It computes what ``module`` does, which rounds both in every forward pass.
        """
        with torch.no_grad():
            for step in self._steps:
                module = step.module
                module.zero_point.round_().clamp_(module.qmin, module.qmax)
                module.scale.requires_grad_(False)
                module.zero_point.requires_grad_(False)
                module.scale.grad = module.zero_point.grad = None
                module.set_parameters(module.scale, module.zero_point)
        round_biases(self.graph)
        return self.graph.eval()


@torch.no_grad()
def _to_relative(scales: list[AffineFakeQuant], zero_points: list[AffineFakeQuant]) -> None:
    """Turn parameters and gradients into those of log(scale) and zero_point / code range."""
    for module in scales:
        if module.scale.grad is not None:
            module.scale.grad.mul_(module.scale)
            module.scale.log_()
    for module in zero_points:
        if module.zero_point.grad is not None:
            module.zero_point.grad.mul_(module.qmax - module.qmin)
            module.zero_point.div_(module.qmax - module.qmin)


@torch.no_grad()
def _to_absolute(scales: list[AffineFakeQuant], zero_points: list[AffineFakeQuant]) -> None:
    for module in scales:
        if module.scale.grad is not None:
            module.scale.exp_().clamp_(min=_SMALLEST_SCALE)
    for module in zero_points:
        if module.zero_point.grad is not None:
            module.zero_point.mul_(module.qmax - module.qmin).clamp_(module.qmin, module.qmax)
