"""The cut into units: the lists of the five families, and the shapes that rules meet."""

import pytest
import timm
import torch
from torch import Tensor, nn

from hybridquant.capture import capture
from hybridquant.layerwise import Unit
from hybridquant.layerwise.block_units import block_units, unit_name

MOBILEVIT = """
stem.conv, stages.0.0, stages.1.0, stages.1.1, stages.1.2, stages.2.0,
stages.2.1, stages.2.1.transformer.0, stages.2.1.transformer.1, stages.2.1, stages.3.0,
stages.3.1, stages.3.1.transformer.0, stages.3.1.transformer.1, stages.3.1.transformer.2,
stages.3.1.transformer.3, stages.3.1, stages.4.0,
stages.4.1, stages.4.1.transformer.0, stages.4.1.transformer.1, stages.4.1.transformer.2,
stages.4.1, final_conv.conv, head.fc"""
MOBILEVITV2 = """
stem.conv, stages.0.0, stages.1.0, stages.1.1, stages.2.0,
stages.2.1, stages.2.1.transformer.0, stages.2.1.transformer.1, stages.2.1.conv_proj.conv,
stages.3.0, stages.3.1, stages.3.1.transformer.0, stages.3.1.transformer.1,
stages.3.1.transformer.2, stages.3.1.transformer.3, stages.3.1.conv_proj.conv, stages.4.0,
stages.4.1, stages.4.1.transformer.0, stages.4.1.transformer.1, stages.4.1.transformer.2,
stages.4.1.conv_proj.conv, head.fc"""
# In these two the joins are the block's own, the weights one level below.
EFFICIENTFORMER = """
stem, stages.0.blocks.0, stages.0.blocks.1, stages.0.blocks.2, stages.1.downsample.conv,
stages.1.blocks.0, stages.1.blocks.1, stages.2.downsample.conv, stages.2.blocks.0,
stages.2.blocks.1, stages.2.blocks.2, stages.2.blocks.3, stages.2.blocks.4, stages.2.blocks.5,
stages.3.downsample.conv, stages.3.blocks.0, stages.3.blocks.1, stages.3.blocks.2,
stages.3.blocks.3, stages.3.blocks.4, norm, head"""
EFFICIENTFORMERV2 = """
stem, stages.0.blocks.0, stages.0.blocks.1, stages.1.downsample.conv, stages.1.blocks.0,
stages.1.blocks.1, stages.2.downsample.conv, stages.2.blocks.0, stages.2.blocks.1,
stages.2.blocks.2, stages.2.blocks.3, stages.2.blocks.4, stages.2.blocks.5, stages.3.downsample,
stages.3.blocks.0, stages.3.blocks.1, stages.3.blocks.2, stages.3.blocks.3, head"""
EFFICIENTVIT = """
stem.in_conv.conv, stem.res0, stages.0.blocks.0, stages.0.blocks.1, stages.1.blocks.0,
stages.1.blocks.1, stages.2.blocks.0,
stages.2.blocks.1.context_module, stages.2.blocks.1.local_module,
stages.2.blocks.2.context_module, stages.2.blocks.2.local_module, stages.3.blocks.0,
stages.3.blocks.1.context_module, stages.3.blocks.1.local_module,
stages.3.blocks.2.context_module, stages.3.blocks.2.local_module, head"""


@pytest.mark.parametrize(
    ("name", "size", "wanted"),
    [
        ("mobilevit_xxs", 64, MOBILEVIT),
        ("mobilevitv2_050", 64, MOBILEVITV2),
        ("efficientformer_l1", 224, EFFICIENTFORMER),
        ("efficientformerv2_s0", 224, EFFICIENTFORMERV2),
        ("efficientvit_b0", 64, EFFICIENTVIT),
    ],
)
def test_the_families(name: str, size: int, wanted: str) -> None:
    names = wanted.replace(",", "").split()
    units = units_of(timm.create_model(name).eval(), size)
    found = [unit_name(unit) for unit in units]
    assert len(found) == len(names)
    for got, want in zip(found, names, strict=True):
        assert got.startswith(want)
    assert all(len(unit.outputs) == 1 for unit in units)
    if name == "mobilevit_xxs":
        # The fusion reads the shortcut and the projection.
        assert [len(unit.inputs) for unit in units if unit_name(unit) == "stages.3.1"] == [1, 2]


def units_of(model: nn.Module, size: int = 8) -> list[Unit]:
    return block_units(capture(model.eval(), torch.zeros(2, 3, size, size)))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x).relu())


class TwoStreams(nn.Module):
    """An image and tokens side by side, each changed by the other."""

    def __init__(self) -> None:
        super().__init__()
        self.to_tokens, self.to_image = nn.Linear(3, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        tokens = tokens + self.to_tokens(x.mean((2, 3)))
        return x + self.to_image(tokens)[:, :, None, None], tokens


class Former(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(3, 4)
        self.blocks = nn.ModuleList([TwoStreams(), TwoStreams()])
        self.head = nn.Linear(7, 2)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.stem(x.mean((2, 3)))
        for block in self.blocks:
            x, tokens = block(x, tokens)
        return self.head(torch.cat([x.mean((2, 3)), tokens], 1))


def test_residual_blocks_are_not_cut() -> None:
    units = units_of(nn.Sequential(Residual(), Residual()))
    assert [unit_name(unit) for unit in units] == ["0", "1"]
    assert [unit.nodes[-1].meta["kind"] for unit in units] == ["add", "add"]


def test_two_streams_become_units_with_two_outputs() -> None:
    units = units_of(Former())
    names = [unit_name(unit) for unit in units]
    assert names == ["mean", "stem", "blocks.0", "blocks.1", "head"]
    # What the last block leaves is joined before the head, in no block: it belongs to the last one.
    assert [len(unit.outputs) for unit in units] == [1, 1, 2, 1, 1]


def test_joins_of_the_model_itself_stay_apart() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = x + self.first(x)
            return x + self.second(x)

    assert [unit_name(unit) for unit in units_of(Plain())] == ["first", "second"]
