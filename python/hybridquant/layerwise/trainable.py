"""A unit of a QuantGraph whose weights, biases and scales learn, run with gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of, weight_of
from hybridquant.layerwise.adaround import SoftRounding
from hybridquant.layerwise.products import Product
from hybridquant.layerwise.units import Unit
from hybridquant.ops import fake_quant_affine
from hybridquant.quant_graph import QuantGraph
from hybridquant.quantizers import FakeQuant
from hybridquant.quantizers.affine import AffineFakeQuant

Values = dict[fx.Node, Tensor]
Mask = Callable[[Tensor], Tensor | None]
# A scale stays within this factor of what it was.
_MOST_CHANGE = 16.0


class Leaf:
    """A tensor that learns, in units of which it is of the order of 1 where that is asked for.

    Args:
        value: What it starts as.
        unit: Positive; a learning rate is a number of these.

    Attributes:
        tensor: ``value / unit``, a leaf that asks for gradients.
    """

    def __init__(self, value: Tensor, unit: Tensor) -> None:
        self._unit = unit
        self.tensor = (value.detach() / unit).requires_grad_(True)

    def value(self) -> Tensor:
        """Return the tensor it stands for, with gradients."""
        return self.tensor * self._unit


class ScaleLeaf(Leaf):
    """The scale of an affine fake-quant module, never far from where it was."""

    def __init__(self, scale: Tensor, unit: Tensor) -> None:
        super().__init__(scale, unit)
        start = self.tensor.detach()
        self._low, self._high = start / _MOST_CHANGE, start * _MOST_CHANGE

    @torch.no_grad()
    def clamp(self) -> None:
        """Bring it back where a step of the optimizer led too far, or below zero."""
        self.tensor.copy_(torch.minimum(torch.maximum(self.tensor, self._low), self._high))


class Trainable:
    """A unit in which some tensors are leaves of autograd; everything else is as in the graph.

    Args:
        graph: The graph, calibrated. It does not change before ``store``.
        unit: The unit.
        products: The products of the unit.
        is_relative: Leaves are in units of the weight's grid step, the scale, and the bias's root
            mean square, so that learning rates mean the same whatever the ranges of a model.

    Attributes:
        roundings: Soft roundings of weights, by the node that reads the weight.
        weights: Weights that learn as numbers.
        biases: Biases that learn.
        scales: Scales of activations that learn, by module.
    """

    def __init__(
        self, graph: QuantGraph, unit: Unit, products: Sequence[Product], *, is_relative: bool
    ) -> None:
        self.roundings: dict[fx.Node, SoftRounding] = {}
        self.weights: dict[fx.Node, Leaf] = {}
        self.biases: dict[fx.Node, Leaf] = {}
        self.scales: dict[str, ScaleLeaf] = {}
        self._graph, self._unit, self._is_relative = graph, unit, is_relative
        # A parameter that others read too would change behind their backs.
        self._products = [product for product in products if len(product.weight.users) == 1]
        edges = graph.quant_edges
        self._activations = {edge.module for edge in edges if edge.edge.operand == "activation"}

    def round_weights(self) -> None:
        """Let it be learned how quantized weights are rounded.

        Raises:
            NotImplementedError: If the grid of a weight is not affine.
        """
        for product in self._products:
            if product.weight_edge is None:
                continue
            module = self._graph.module_of(product.weight_edge)
            if not isinstance(module, AffineFakeQuant):
                msg = (
                    f"reconstruct: rounding adaround must have weights on an affine grid, got "
                    f"{type(module).__name__} at {product.name}; use rounding ste"
                )
                raise NotImplementedError(msg)
            if module.enabled:
                now, original = self._weight(product), self._graph.original(product.weight)
                self.roundings[args_of(product.node)[1]] = SoftRounding(now, original, module)

    def learn_weights(self) -> None:
        """Let weights learn, through straight-through rounding where they are quantized."""
        for product in self._products:
            weight = self._weight(product)
            unit = _rms(weight)
            if product.weight_edge is not None:
                scale = self._graph.module_of(product.weight_edge).scale.detach()
                shape = [1] * weight.ndim
                if scale.numel() > 1:
                    shape[product.weight_edge.channel_axis] = -1
                unit = scale.reshape(shape)
            self.weights[product.weight] = Leaf(weight, self._unit_of(unit))

    def learn_biases(self) -> None:
        """Let the biases learn that products have."""
        for product in self._products:
            arguments = args_of(product.node)
            node = arguments[2] if len(arguments) > 2 else None
            if node is not None and len(node.users) == 1:
                bias = weight_of(self._graph, node).detach()
                self.biases[node] = Leaf(bias, self._unit_of(_rms(bias)))

    def learn_scales(self) -> None:
        """Let the scales learn of affine activations that only this unit reads."""
        members = set(self._unit.nodes)
        for node in self._graph.graph.find_nodes(op="call_module"):
            module = self._module(node)
            is_own = node.target in self._activations and members.issuperset(node.users)
            # Quantizers that are made from this one may tie their scales together.
            if is_own and module.enabled and type(module) is AffineFakeQuant:
                scale = module.scale.detach()
                self.scales[str(node.target)] = ScaleLeaf(scale, self._unit_of(scale))

    def run(self, values: Mapping[fx.Node, Tensor], mask: Mask) -> Values:
        """Return the values of the unit's outputs, with gradients.

        Args:
            values: Of the unit's inputs.
            mask: Says of the input of an activation's fake-quant module which elements are
                quantized, None for all.
        """
        # What is read in place of a parameter, or of a weight's fake-quant module.
        made = {node: leaf.value() for node, leaf in (self.weights | self.biases).items()}
        made |= {node: rounding.soft() for node, rounding in self.roundings.items()}
        known = dict(values)

        def read(argument: fx.Node) -> Tensor:
            if argument in made:
                return made[argument]
            if argument.op == "get_attr":
                return weight_of(self._graph, argument).detach()
            if argument.op == "call_module":
                return self._quantized(argument, read(argument.all_input_nodes[0]), mask)
            return known[argument]

        for node in self._unit.nodes:
            target: Any = node.target
            known[node] = target(*fx.map_arg(node.args, read), **fx.map_arg(node.kwargs, read))
        return {node: known[node] for node in self._unit.outputs}

    @property
    def is_learning(self) -> bool:
        """Whether anything learns."""
        return bool(self.roundings or self.weights or self.biases or self.scales)

    @torch.no_grad()
    def store(self) -> Callable[[], None]:
        """Write what was learned into the graph, weights on their grid.

        Returns:
            What undoes it.
        """
        made = {node: leaf.value() for node, leaf in self.biases.items()}
        for node, leaf in self.weights.items():
            # It may be read through a fake-quant module, which may be off.
            (reader,) = node.users
            is_quantized = reader.op == "call_module"
            made[node] = self._module(reader)(leaf.value()) if is_quantized else leaf.value()
        for reader, rounding in self.roundings.items():
            made[reader.all_input_nodes[0]] = rounding.hard()
        scales = {name: leaf.value() for name, leaf in self.scales.items()}
        before = {node: weight_of(self._graph, node).clone() for node in made}
        modules = {name: self._graph.get_submodule(name) for name in scales}
        scales_before = {
            name: module.get_parameter("scale").clone() for name, module in modules.items()
        }
        self._write(made, scales)
        return lambda: self._write(before, scales_before)

    def _write(self, parameters: Mapping[fx.Node, Tensor], scales: Mapping[str, Tensor]) -> None:
        for node, value in parameters.items():
            self._graph.set_weight(node, value)
        for name, scale in scales.items():
            module = self._graph.get_submodule(name)
            assert isinstance(module, AffineFakeQuant)
            module.set_parameters(scale, module.zero_point)

    def _quantized(self, node: fx.Node, x: Tensor, mask: Mask) -> Tensor:
        module, name = self._module(node), str(node.target)
        if not module.enabled:
            return x
        if name in self.scales:
            assert isinstance(module, AffineFakeQuant)
            scale, zero_point = self.scales[name].value(), module.zero_point
            codes = module.qmin, module.qmax
            axis, factor = module.channel_axis, module.grad_factor
            result = fake_quant_affine(x, scale, zero_point, *codes, axis, factor)
        else:
            result = module(x)
        kept = mask(x) if name in self._activations else None
        return result if kept is None else torch.where(kept, result, x)

    def _module(self, node: fx.Node) -> FakeQuant:
        module = self._graph.get_submodule(str(node.target))
        assert isinstance(module, FakeQuant)
        return module

    def _weight(self, product: Product) -> Tensor:
        return weight_of(self._graph, product.weight).detach()

    def _unit_of(self, unit: Tensor) -> Tensor:
        """Return ``unit`` where learning rates are relative, else 1."""
        return unit if self._is_relative else torch.ones_like(unit)


def _rms(x: Tensor) -> Tensor:
    """Return the root mean square, 1 where that is 0."""
    rms = x.square().mean().sqrt()
    return torch.where(rms > 0, rms, torch.ones_like(rms))
