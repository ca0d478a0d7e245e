"""Convolutions and padding, all arguments spelled out."""

import pytest
import torch.nn.functional as F
from torch import nn

from hybridquant.capture.graph import weight_of

TRANSPOSED_LINE = nn.Sequential(
    nn.Flatten(2), nn.ConvTranspose1d(3, 6, 4, 3, 1, output_padding=2, groups=3)
)
CASES = [
    ("plain", nn.Conv2d(3, 4, 3), ["conv2d"]),
    ("grouped, strided", nn.Conv2d(3, 6, 3, stride=2, padding=1, groups=3), ["conv2d"]),
    ("same, odd", nn.Conv2d(3, 4, 3, padding="same", dilation=2), ["conv2d"]),
    ("same, even", nn.Conv2d(3, 4, 4, padding="same"), ["pad", "conv2d"]),
    ("valid", nn.Conv2d(3, 4, 3, padding="valid"), ["conv2d"]),
    ("reflecting", nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), ["pad", "conv2d"]),
    ("transposed", nn.ConvTranspose2d(3, 4, 3, stride=2, output_padding=1), ["conv_transpose2d"]),
    ("transposed line", TRANSPOSED_LINE, ["reshape", "conv_transpose2d", "reshape"]),
    ("one axis", nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 4, 5)), ["reshape", "conv1d"]),
]


@pytest.mark.parametrize(("module", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_convolutions(check, module, expected):
    assert check(module).kinds == expected


PADS = [
    ("nothing", lambda x: F.pad(x, (0, 0)), []),
    ("value", lambda x: F.pad(x, (1, 2, 0, 3), value=2.0), ["pad"]),
    ("cut", lambda x: F.pad(x, (-1, 2)), ["slice", "pad"]),
    ("cut both", lambda x: F.pad(x, (-1, -2)), ["slice"]),
    ("replicate", lambda x: F.pad(x, (1, 1, 1, 1), mode="replicate"), ["pad"]),
]


@pytest.mark.parametrize(("function", "expected"), [c[1:] for c in PADS], ids=[c[0] for c in PADS])
def test_pads(check, function, expected):
    assert check(function).kinds == expected


@pytest.mark.parametrize("padding", [1, (2, 0), (0, 3)])
def test_circular_padding_continues_with_the_other_end(check, padding):
    kinds = check(nn.Conv2d(3, 4, 5, padding=padding, padding_mode="circular")).kinds
    assert "cat" in kinds
    assert "pad" not in kinds


def test_all_arguments_are_given(check):
    graph = check(nn.Conv2d(3, 4, 3)).graph
    node = next(n for n in graph.graph.nodes if n.meta["kind"] == "conv2d")
    assert not node.kwargs
    assert list(node.args[3:]) == [[1, 1], [0, 0], [1, 1], 1]


def test_weights_feed_the_convolution_directly(check):
    graph = check(nn.Conv2d(3, 4, 3)).graph
    node = next(n for n in graph.graph.nodes if n.meta["kind"] == "conv2d")
    assert [(n.op, n.target) for n in node.args[1:3]] == [
        ("get_attr", "weight"),
        ("get_attr", "bias"),
    ]
    assert weight_of(graph, node.args[1]).shape == (4, 3, 3, 3)
