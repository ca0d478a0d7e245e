"""Pooling and reductions."""

import pytest
import torch
import torch.nn.functional as F

from hybridquant.capture import UnsupportedOperatorError


def border(x, *amounts):
    return F.pad(x, amounts, value=float("-inf"))


REPEATED = ["pad", "max_pool2d"]
CASES = [
    ("global average", lambda x: F.adaptive_avg_pool2d(x, 1), ["mean"]),
    ("equal windows", lambda x: F.adaptive_avg_pool2d(x, (4, 2)), ["avg_pool2d"]),
    ("same size", lambda x: F.adaptive_avg_pool2d(x, 8), []),
    ("unequal windows", lambda x: F.adaptive_avg_pool2d(x, 3), ["adaptive_avg_pool2d"]),
    ("global maximum", lambda x: F.adaptive_max_pool2d(x, 1), ["amax"]),
    ("unequal maxima", lambda x: F.adaptive_max_pool2d(x, (3, 4)), ["index_select", "max_pool2d"]),
    ("unequal overlapping", lambda x: F.adaptive_max_pool2d(x, 5), None),
    ("line", lambda x: F.adaptive_avg_pool1d(x[:, 0], 4), None),
    ("line in unequal windows", lambda x: F.adaptive_avg_pool1d(x[:, 0], 3), None),
    ("windows", lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), ["avg_pool2d"]),
    ("maximum", lambda x: F.max_pool2d(x, 3, stride=2, padding=1), ["max_pool2d"]),
    ("maximum of same size", lambda x: F.max_pool2d(border(x, 1, 2, 0, 1), 3, 2), REPEATED),
    ("maximum of rows", lambda x: F.max_pool2d(border(x, 0, 1), 2, 1), REPEATED),
    ("mean", lambda x: x.mean((-2, -1)), ["mean"]),
    ("sum", lambda x: x.sum(1, keepdim=True), ["sum"]),
    ("max of an axis", lambda x: x.max(2).values, ["amax"]),
    ("min of an axis", lambda x: x.amin(1), ["amin"]),
]


@pytest.mark.parametrize(
    ("function", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_pooling(check, function, expected):
    found = check(function).kinds
    assert found == expected or expected is None


REFUSED = [
    ("mean of everything", lambda x: x * x.mean(), "mixes images"),
    ("mean over images", lambda x: x - x.mean(0, keepdim=True), "mixes images"),
    ("place of the maximum", lambda x: x.max(1).indices, "place of the value"),
]


@pytest.mark.parametrize(
    ("function", "text"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_refused(check, function, text):
    with pytest.raises(UnsupportedOperatorError, match=text):
        check(function)


def test_reductions_are_per_image(check):
    assert check(lambda x: torch.amax(x, (1, 2, 3))).graph(torch.ones(3, 3, 8, 8)).shape == (3,)


def test_maxima_need_no_infinite_border(check):
    nodes = check(lambda x: F.max_pool2d(border(x, 1, 2, 0, 1), 3, 2)).graph.graph.nodes
    pad = next(n for n in nodes if n.meta["kind"] == "pad")
    assert pad.target is torch.ops.aten.replication_pad2d.default


def read_elsewhere(x):
    wide = border(x, 1, 0)
    return F.max_pool2d(wide, 2) + wide.exp().mean((2, 3), keepdim=True)


OTHERS = [
    ("gaps", lambda x: F.max_pool2d(border(x, 1, 1), 3, dilation=2)),
    ("wider than the window", lambda x: F.max_pool2d(border(x, 2, 0), 2).clamp(-9)),
    ("read elsewhere", read_elsewhere),
]


@pytest.mark.parametrize("function", [c[1] for c in OTHERS], ids=[c[0] for c in OTHERS])
def test_other_borders_stay(check, function):
    nodes = check(function).graph.graph.nodes
    pad = next(n for n in nodes if n.meta["kind"] == "pad")
    assert pad.target is torch.ops.aten.constant_pad_nd.default
