"""Weights of a unit's output, against derivatives of the whole function."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hybridquant.calibration import Calibration
from hybridquant.capture import capture
from hybridquant.layerwise.block_units import block_units
from hybridquant.layerwise.output_weights import gradient_weights
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph, prepare
from hybridquant.types import Edge, QuantSpec


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6, 4)

    def rest(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(3 * torch.tanh(x).mean((2, 3)))
        return result

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.body(x))


def case() -> tuple[Small, QuantGraph, Tensor]:
    model, x = Small().eval(), torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))

    def resolve(edges: Sequence[Edge]) -> list[QuantSpec | None]:
        return [QuantSpec(bits=3, scheme="symmetric")] * len(edges)

    return model, PASSES["observe"](prepare(capture(model, x), resolve), Calibration(x)), x


def divergence(model: Small, y: Tensor, logits: Tensor, temperature: float) -> Tensor:
    result = (model.rest(y) / temperature).log_softmax(-1)
    return F.kl_div(result, (logits / temperature).softmax(-1), reduction="sum")


def test_perturb_is_the_curvature_along_all_ones() -> None:
    model, graph, x = case()
    body = next(unit for unit in block_units(graph) if unit.nodes[0].meta["path"] == "body")
    ((node, found),) = gradient_weights(graph, body, x, "perturb").items()
    assert node in body.outputs
    with torch.no_grad():
        y, logits = model.body(x), model(x)
    _, curvature = torch.autograd.functional.hvp(
        lambda y: divergence(model, y, logits, 20.0), y, torch.ones_like(y)
    )
    wanted = curvature.abs().mean(0, keepdim=True)
    torch.testing.assert_close(found, wanted / wanted.mean(), rtol=0.05, atol=0.01)
    # All logits together move nothing.
    assert gradient_weights(graph, block_units(graph)[-1], x, "perturb") == {}


def test_fisher_is_the_damped_gradient_of_the_quantized_model() -> None:
    model, graph, x = case()
    body = next(unit for unit in block_units(graph) if unit.nodes[0].meta["path"] == "body")
    (found,) = gradient_weights(graph, body, x, "fisher").values()
    modules = {edge.edge.operand: graph.module_of(edge) for edge in graph.quant_edges[:2]}
    with torch.no_grad():
        weight = modules["weight"](model.body.weight)
        y = F.conv2d(modules["activation"](x), weight, model.body.bias)
        logits = model(x)
    y.requires_grad_(True)
    (gradient,) = torch.autograd.grad(divergence(model, y, logits, 1.0), [y])
    wanted = (gradient.abs() + 1).square().mean(0, keepdim=True)
    assert wanted.max() > 1.001
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
