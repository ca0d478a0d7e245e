"""Capture a small module and hold it to the module."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from hybridquant.capture import FloatGraph, capture

# Float32 rounding of a few operators in another order.
TOLERANCE = 1e-5


class Captured(NamedTuple):
    """A graph and the kinds of its operators, in order."""

    graph: FloatGraph
    kinds: list[str]


Check = Callable[..., Captured]


class Function(nn.Module):
    """A function of the images as a module."""

    def __init__(self, function: Callable[..., Tensor], *tensors: Tensor) -> None:
        super().__init__()
        self.function = function
        self.weights = nn.ParameterList([nn.Parameter(t) for t in tensors])

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.weights)


@pytest.fixture
def check() -> Check:
    """Return a function that captures a module and compares it for several batch sizes."""

    def run(
        module: nn.Module | Callable[..., Tensor], *weights: Tensor, size=(3, 8, 8)
    ) -> Captured:
        torch.manual_seed(0)
        module = module if isinstance(module, nn.Module) else Function(module, *weights)
        graph = capture(module.eval(), torch.randn(2, *size))
        with torch.no_grad():
            traced = torch.jit.trace(graph, torch.randn(2, *size))
            for batch in (1, 2, 7):
                x = torch.randn(batch, *size)
                expected, got = module(x), graph(x)
                assert got.shape == expected.shape
                assert got.dtype == expected.dtype
                assert (got - expected).abs().max() <= TOLERANCE * expected.abs().max()
                assert torch.equal(traced(x), got)
                meta = next(n for n in reversed(graph.graph.nodes) if n.op != "output").meta
                sizes = [batch * meta["batch_factor"] if s == -1 else s for s in meta["shape"]]
                assert sizes == list(got.shape)
        found = [n.meta["kind"] for n in graph.graph.nodes if n.op == "call_function"]
        return Captured(graph, found)

    return run
