"""Products as matrices, and their biases."""

import pytest
import torch
from torch import Tensor, nn

from hybridquant.calibration import Calibration
from hybridquant.capture import capture
from hybridquant.layerwise import Product, products_of
from hybridquant.layerwise.products import original_bias, present_bias, set_bias
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph, prepare
from hybridquant.types import QuantSpec


class Products(nn.Module):
    """Strides, paddings, dilations, groups, kernels that are not square; one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(3, 8, (3, 5), stride=(2, 1), padding=(1, 2), bias=False),
            nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8),
            nn.Conv2d(8, 12, 1, groups=4),
        )
        self.line = nn.Conv1d(12, 6, 3, padding=1)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.line(self.convs(x).flatten(2)).mean(2))


@pytest.fixture
def graph(images: Tensor) -> QuantGraph:
    torch.manual_seed(0)
    captured = capture(Products().eval(), images)
    graph = prepare(captured, lambda edges: [QuantSpec()] * len(edges))
    return PASSES["observe"](graph, Calibration(images))


def test_rows_times_matrix_is_the_product(graph: QuantGraph) -> None:
    products = products_of(graph)
    kinds = [(product.kind, product.groups, product.is_depthwise) for product in products]
    assert kinds == [
        ("conv2d", 1, False),
        ("conv2d", 8, True),
        ("conv2d", 4, False),
        ("conv1d", 1, False),
        ("linear", 1, False),
    ]
    for product in products:
        shape = [2, *product.node.args[0].meta["shape"][1:]]
        x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        weight = graph.original(product.weight)
        y = product.node.target(x, weight, None, *product.node.args[3:])
        made = product.rows(x) @ product.matrix(weight).transpose(1, 2)
        y_rows = y.reshape(2, y.shape[1], -1).transpose(1, 2) if y.ndim > 2 else y
        flat = made.permute(1, 0, 2).reshape(y_rows.shape)
        torch.testing.assert_close(flat, y_rows, rtol=1e-4, atol=1e-4)


def with_bias(graph: QuantGraph, product: Product) -> QuantGraph:
    set_bias(graph, product, torch.ones(len(graph.original(product.weight))))
    return graph


@pytest.mark.parametrize("index", [0, 1])
def test_a_bias_is_made_where_there_is_none(graph: QuantGraph, images: Tensor, index: int) -> None:
    product = products_of(graph)[index]
    floats = original_bias(graph, product).clone()
    assert torch.equal(present_bias(graph, product), floats)
    with_bias(graph, product)
    product = products_of(graph)[index]
    assert torch.equal(present_bias(graph, product), torch.ones(8))
    assert torch.equal(original_bias(graph, product), floats)
    assert torch.equal(graph.original(product.node.args[2]), floats)
    assert graph(images).shape == (6, 5)
    names = dict(graph.named_parameters())
    assert str(product.node.args[2].target) in names
