"""Which channels of a model can be rescaled without changing what it computes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hybridquant.models.recorded_calls import RecordedCalls, forward_replaced

# Scaling by a power of two is exact, so what only passes the factor on gives it back exactly. This
# noise times 4 crosses the bends of hard-swish, ReLU6 and all smoother activations.
_PROBE, _NOISE = 4.0, (1.5, 2.9)
# Parameters of norms while probing: such that no channel is dead and each is moved by its bias.
_NEUTRAL = {"weight": 1.0, "bias": 0.25, "running_mean": 0.5, "running_var": 1.0}
_LINEAR = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)

Readers = dict[nn.Module, list[int]]
"""Layers that read scaled channels, and which channels of their input those are."""

_Inputs = dict[nn.Module, list[Tensor]]
"""What each convolution and linear layer reads, call by call."""


class _IllegalError(Exception):
    """A scaled channel reached an operator that does not pass the factor on."""


class RescalingProber:
    """Finds out by trying which channels of a model can be rescaled.

    Every convolution and linear layer is replaced by fixed noise of the shape of its output, and
    norms get neutral parameters. That cuts the model into the parts between the layers, so what is
    found holds for any image and any weights; and it costs little, as parts that a try does not
    reach are not run again. Each try is made with the noise and with its negative, so that no ReLU
    hides a channel.

    Args:
        model: A copy to work on; its norms are changed.
        example: Images to try on.
        generator: Of the noise.

    Attributes:
        producers: The layers whose output channels may be scaled, in the model's order.
    """

    def __init__(self, model: nn.Module, example: Tensor, generator: torch.Generator) -> None:
        self.model = model
        self._example = example
        owners: dict[int, list[nn.Module]] = {}
        for layer in model.modules():
            for parameter in layer.parameters(recurse=False):
                owners.setdefault(id(parameter), []).append(layer)
        tied = {layer for layers in owners.values() if len(layers) > 1 for layer in layers}
        layers = [layer for layer in model.modules() if layer not in tied]
        self.producers = [layer for layer in layers if _is_linear(layer) or is_norm(layer)]
        self._noise: dict[nn.Module, list[Tensor]] = {
            layer: [] for layer in self.producers if _is_linear(layer)
        }
        with torch.no_grad():
            self._draw(generator)
            for layer in self.producers:
                for name, value in _NEUTRAL.items() if layer not in self._noise else ():
                    tensor = getattr(layer, name, None)
                    if isinstance(tensor, Tensor):
                        tensor.fill_(value)
            self._calls = {sign: RecordedCalls(model) for sign in (1, -1)}
            self._before = {sign: self._run(sign) for sign in self._calls}

    def _draw(self, generator: torch.Generator) -> None:
        """Draw noise for each call of each layer."""

        def draw(layer: nn.Module, _args: Any, output: Tensor) -> None:
            noise = torch.empty(output.shape).uniform_(*_NOISE, generator=generator)
            signs = torch.randint(2, output.shape, generator=generator) * 2 - 1
            self._noise[layer].append((noise * signs).to(output))

        with ExitStack() as hooks:
            for layer in self._noise:
                hooks.callback(layer.register_forward_hook(draw).remove)
            self.model(self._example)

    @torch.no_grad()
    def readers(self, producer: nn.Module, row: int) -> Readers:
        """Return who reads a channel; empty where its factor cannot be undone there."""
        readers: Readers = {}
        for sign, (inputs, output) in self._before.items():
            found: Readers = {}
            try:
                _, now = self._run(sign, _Probe(producer, row, inputs, found))
            except _IllegalError:
                return {}
            if not torch.equal(now, output):
                return {}
            for layer, channels in found.items():
                readers[layer] = sorted({*readers.get(layer, ()), *channels})
        return {layer: channels for layer, channels in readers.items() if channels}

    def _run(self, sign: int, probe: _Probe | None = None) -> tuple[_Inputs, Tensor]:
        """Run what is between the layers; return the layers' inputs and the model's output."""
        inputs: _Inputs = {layer: [] for layer in self._noise}

        def stand_in(layer: nn.Module) -> Callable[[Tensor], Tensor]:
            def forward(value: Tensor) -> Tensor:
                call = len(inputs[layer])
                # A copy, because models may activate and add in place.
                inputs[layer].append(value.clone() if probe is None else value)
                output = sign * self._noise[layer][call]
                if probe is not None:
                    probe.compare(layer, call, value)
                    if layer is probe.producer:
                        output.select(_channel_axis(layer), probe.row).mul_(_PROBE)
                return output

            return forward

        with ExitStack() as stack:
            for layer in self._noise:
                stack.enter_context(forward_replaced(layer, stand_in(layer)))
            calls = self._calls[sign]
            stack.enter_context(calls.given_back(probe.producer) if probe else calls.recorded())
            if probe is not None and probe.producer not in self._noise:
                scale_output(probe.producer, probe.row, _PROBE)
                stack.callback(scale_output, probe.producer, probe.row, 1 / _PROBE)
            output: Tensor = self.model(self._example)
        return inputs, output


@dataclass(frozen=True)
class _Probe:
    """A try to scale one channel.

    Args:
        producer: The layer whose output is scaled.
        row: Which channel of it.
        before: What the layers read when nothing is scaled.
        readers: Filled with the layers that read something scaled, and which channels.
    """

    producer: nn.Module
    row: int
    before: _Inputs
    readers: Readers

    def compare(self, layer: nn.Module, call: int, now: Tensor) -> None:
        """Note which channels a layer reads scaled.

        Raises:
            _IllegalError: If something changed in another way, or not in each call alike.
        """
        before, axis = self.before[layer][call], _channel_axis(layer)
        channels: list[int] = []
        if not torch.equal(now, before):
            changed = (now != before).movedim(axis, 0).flatten(1).any(1).nonzero()[:, 0]
            scaled = before.movedim(axis, 0)[changed] * _PROBE
            if not torch.equal(now.movedim(axis, 0)[changed], scaled):
                raise _IllegalError
            channels = changed.tolist()
        if self.readers.setdefault(layer, channels) != channels:
            raise _IllegalError


def scale_output(layer: nn.Module, row: int, factor: float) -> None:
    """Scale what makes an output channel of a convolution, linear layer or norm."""
    weight_of(layer)[row] *= factor
    if isinstance(layer.bias, Tensor):
        layer.bias[row] *= factor


def scale_input(layer: nn.Module, channel: int, factor: float) -> None:
    """Scale the weights that read an input channel of a convolution or linear layer."""
    weight = weight_of(layer)
    group, column = divmod(channel, weight.shape[1])
    rows = len(weight) // getattr(layer, "groups", 1)
    weight[group * rows : (group + 1) * rows, column] *= factor


def weight_of(layer: nn.Module) -> Tensor:
    """Return the weight, whose first axis counts the output channels."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight


def _is_linear(layer: nn.Module) -> bool:
    """Return whether a layer is a convolution or linear layer that uses its weights as they are."""
    forwards = [kind.forward for kind in _LINEAR]
    return isinstance(layer, _LINEAR) and type(layer).forward in forwards


def is_norm(layer: nn.Module) -> bool:
    """Return whether a layer is a norm with one weight a channel."""
    weight = getattr(layer, "weight", None)
    return isinstance(layer, _NORMS) and isinstance(weight, Tensor) and weight.ndim == 1


def _channel_axis(layer: nn.Module) -> int:
    """Return the axis of a layer's input and output that holds the channels."""
    return -1 if isinstance(layer, nn.Linear) else 1
