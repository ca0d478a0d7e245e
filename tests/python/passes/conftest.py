"""A small calibrated graph that passes work on."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hybridquant.calibration import Calibration
from hybridquant.capture import capture
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph, prepare
from hybridquant.types import Edge, QuantSpec

Make = Callable[..., QuantGraph]


class Block(nn.Module):
    """What hybrids are made of, with channels of very different sizes behind the norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, stride=2)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.point = nn.Conv2d(16, 16, 1, bias=False)
        self.norm = nn.LayerNorm(16)
        self.fc1, self.fc2 = nn.Linear(16, 32), nn.Linear(32, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.silu(self.stem(x))
        x = x + self.point(torch.relu(self.depthwise(x)))
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.fc2(nn.functional.gelu(self.fc1(self.norm(tokens))))
        return self.head(tokens.mean(1))


@pytest.fixture
def block() -> nn.Module:
    torch.manual_seed(3)
    model = Block().eval()
    with torch.no_grad():
        model.norm.weight.copy_(torch.logspace(-1.5, 1.0, 16, 10.0))
        model.norm.bias.copy_(torch.linspace(-2.0, 2.0, 16))
        # The layer undoes it, as in trained models, so that every channel matters alike.
        model.fc1.weight.div_(model.norm.weight)
    return model


@pytest.fixture
def calibration(images: Tensor) -> Calibration:
    # Neighbouring pixels are alike, as in photographs: that is what second moments see.
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(16, 3, 16, 16, generator=generator)
    return Calibration(nn.functional.avg_pool2d(x, 5, 1, 2) * 4, batch_size=8)


@pytest.fixture
def make(block: nn.Module, calibration: Calibration) -> Make:
    """Return a function that prepares the block with some bits, and observes it if wanted."""

    def made(weight_bits: int = 4, bits: int = 8, *, is_observed: bool = True) -> QuantGraph:
        def resolve(edges: list[Edge]) -> list[QuantSpec | None]:
            weight = QuantSpec(weight_bits, "symmetric", "channel", "mse")
            kinds = ("conv2d", "linear")
            specs = {"weight": weight, "activation": QuantSpec(bits)}
            return [specs[edge.operand] if edge.kind in kinds else None for edge in edges]

        graph = prepare(capture(block, calibration.first()), resolve)
        return PASSES["observe"](graph, calibration) if is_observed else graph

    return made


@pytest.fixture
def loss(calibration: Calibration) -> Callable[[QuantGraph], float]:
    """Return a function that says how far the logits are from the float model's, squared."""

    def squared(graph: QuantGraph) -> float:
        total = 0.0
        with torch.no_grad():
            for x in calibration:
                with graph.fake_quant_off():
                    exact = float_logits(graph, x)
                total += float((graph(x) - exact).square().sum())
        return total

    return squared


def float_logits(graph: QuantGraph, x: Tensor) -> Tensor:
    """Return what the graph computes with its original weights, fake-quantization off."""
    nodes = {str(n.target): n for n in graph.graph.find_nodes(op="get_attr")}
    now = {name: graph.get_parameter(name).detach().clone() for name in nodes}
    try:
        for name, node in nodes.items():
            graph.get_parameter(name).data.copy_(graph.original(node))
        return graph(x)
    finally:
        for name, value in now.items():
            graph.get_parameter(name).data.copy_(value)
