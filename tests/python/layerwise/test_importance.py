"""What each element of a result counts: against gradients of the model, in parts, and noise."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hybridquant.calibration import Calibration
from hybridquant.capture import capture
from hybridquant.layerwise import sweep, unit_of
from hybridquant.layerwise.importance import Importance, importance_of
from hybridquant.layerwise.multiplications import multiplications_of
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph, prepare
from hybridquant.types import QuantSpec


class Net(nn.Module):
    """Three products, the second of which feeds a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mix = nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.stem(x))
        return self.head((x + self.mix(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module")
def graph(net: Net) -> QuantGraph:
    x = torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    quantized = prepare(capture(net, x), lambda edges: [QuantSpec(bits=4)] * len(edges))
    return PASSES["observe"](quantized, Calibration(x))


@pytest.fixture
def x() -> Tensor:
    return torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(1))


def test_label_ce_is_the_gradient_of_the_cross_entropy(
    net: Net, graph: QuantGraph, x: Tensor
) -> None:
    nodes = [operator.node for operator in multiplications_of(graph)]
    found = importance_of(graph, x.split(3), nodes, "label_ce", memory=1.0)
    kept: list[Tensor] = []
    hooks = [
        module.register_forward_hook(lambda _m, _i, out: kept.append(out))
        for module in (net.stem, net.mix, net.head)
    ]
    logits = net(x)
    for hook in hooks:
        hook.remove()
    expected = torch.autograd.grad(F.cross_entropy(logits, logits.argmax(1), reduction="sum"), kept)
    for node, gradient in zip(nodes, expected, strict=True):
        torch.testing.assert_close(found[node], gradient)


def test_perturb_is_how_the_gradient_moves(net: Net, graph: QuantGraph, x: Tensor) -> None:
    inner = multiplications_of(graph)[1].node
    found = importance_of(graph, x.split(3), [inner], "perturb", memory=1.0)[inner]
    exact = deepcopy(net).double()
    with torch.no_grad():
        stem = torch.tanh(exact.stem(x.double()))
        mixed = exact.mix(stem)
        shares = (exact(x.double()) / 20.0).softmax(1)

    def gradient(shift: float) -> Tensor:
        moved = (mixed + shift).requires_grad_()
        logits = exact.head((stem + moved).mean((2, 3)))
        loss = F.kl_div((logits / 20.0).log_softmax(1), shares, reduction="sum")
        return torch.autograd.grad(loss, moved)[0]

    expected = (gradient(1e-6) - gradient(-1e-6)).abs().mean(0, keepdim=True)
    torch.testing.assert_close(found.square().double(), expected, rtol=1e-4, atol=1e-14)
    assert bool((expected > 1e-13).any())


def test_perturb_finds_nothing_where_all_logits_move(graph: QuantGraph, x: Tensor) -> None:
    node = multiplications_of(graph)[-1].node  # the logits: a softmax does not see a shift
    with pytest.raises(ValueError, match="'perturb' must be more than float noise"):
        importance_of(graph, [x], [node], "perturb", memory=1.0)


@pytest.mark.parametrize("source", ["label_ce", "quant_chain"])
def test_little_memory_gives_the_same(graph: QuantGraph, x: Tensor, source: str) -> None:
    units = [unit_of([operator.node]) for operator in multiplications_of(graph)]

    def collect(memory: float) -> dict[str, Tensor]:
        importance = Importance(graph, Calibration(x, 3), units, source, memory, False)
        stops = sweep(graph, Calibration(x, 3), units)
        found = [importance.at(visit) for visit in stops]
        return {node.name: value for each in found for node, value in each.items()}

    plenty, little = collect(1.0), collect(1e-7)  # a hundred bytes: one operator, one image
    assert len(plenty) == 3
    assert plenty.keys() == little.keys()
    for name, value in plenty.items():
        torch.testing.assert_close(little[name], value)
        assert bool(value.any())


def test_noise_is_told_from_gradients(graph: QuantGraph, x: Tensor) -> None:
    nodes = [operator.node for operator in multiplications_of(graph)]
    with pytest.raises(ValueError, match="'fp_noise' must be more than float noise, got at most"):
        importance_of(graph, [x], nodes, "fp_noise", memory=1.0)
    noise = importance_of(graph, [x], nodes, "fp_noise", memory=1.0, allow_zero=True)
    assert all(float(noise[node].abs().max()) < 1e-5 for node in nodes)
    with pytest.raises(ValueError, match="'quant_chain' must be more than float noise"):
        importance_of(graph, [x], nodes, "quant_chain", memory=1.0)
    importance_of(graph, [x], nodes, "quant_chain", quantized=nodes, memory=1.0)
