"""Recipes and models of the tests of this folder."""

import torch
from torch import Tensor, nn

from hybridquant.capture import capture
from hybridquant.quant_graph import find_edges
from hybridquant.recipe import PassSpec, Recipe, Rule

EIGHT_BITS = (
    Rule(("*",), operand="activation", bits=8),
    Rule(
        ("*",),
        operand="weight",
        bits=8,
        scheme="symmetric",
        granularity="channel",
        optional=True,
    ),
)


def recipe_of(*rules: Rule) -> Recipe:
    return Recipe("test", "8 bits with exceptions.", (*EIGHT_BITS, *rules), (PassSpec("observe"),))


def edges_of(model: nn.Module, images: Tensor):
    return tuple(find_edges(capture(model, images)))


def one_operator() -> nn.Module:
    torch.manual_seed(2)
    return _OneOperator().eval()


class _OneOperator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.only = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.only(x.flatten(2)[:, :, 0])
