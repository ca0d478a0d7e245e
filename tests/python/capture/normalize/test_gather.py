"""Picking by constant places."""

import pytest
import torch
import torch.nn.functional as F

from hybridquant.capture import UnsupportedOperatorError

PLACES = torch.tensor([2, 0, -1])
GRID = torch.tensor([[0, 1], [5, -1]])

CASES = [
    ("index", lambda x: x[:, PLACES], ["index_select"]),
    ("index by a matrix", lambda x: x[..., GRID], ["index_select", "reshape"]),
    ("index two axes", lambda x: x[:, :, GRID, GRID.T], ["reshape", "index_select", "reshape"]),
    ("index_select", lambda x: x.index_select(-1, PLACES.abs()), ["index_select"]),
    ("flip", lambda x: x.flip(-1), ["index_select"]),
    ("windows", lambda x: x.unfold(2, 3, 2), ["index_select", "reshape", "permute"]),
    ("im2col", lambda x: F.unfold(x, 3, padding=1, stride=2), None),
    ("im2col, wide", lambda x: F.unfold(x, (3, 2), dilation=2), None),
    ("col2im", lambda x: F.fold(F.unfold(x, 3, padding=1), 8, 3, padding=1), None),
    ("col2im, gaps", lambda x: F.fold(F.unfold(x, 3, stride=2), 8, 3, stride=2), None),
]


@pytest.mark.parametrize(
    ("function", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_gather(check, function, expected):
    found = check(function).kinds
    assert found == expected or expected is None


REFUSED = [
    ("places from data", lambda x: x[0, 0, 0].argsort(), "takes one image"),
    ("a few images", lambda x: x[:1], "takes some of the images"),
    ("gather", lambda x: x.gather(1, x.long()), "aten"),
]


@pytest.mark.parametrize(
    ("function", "text"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_refused(check, function, text):
    with pytest.raises(UnsupportedOperatorError, match=text):
        check(function)
