"""Writes in place: the short cut where it is safe, torch's own way where it is not."""

import importlib

import pytest
import torch
import torch.nn.functional as F
from torch import nn

CONV = nn.Conv2d(3, 3, 1).requires_grad_(False)


def read_before(x):
    x = CONV(x)
    y = x + 1
    return x.relu_() + y


def view_before(x):
    x = CONV(x)
    half = x[:, :1]
    x.relu_()
    return half * 1


def through_a_view(x):
    x = CONV(x)
    x[:, 1:].relu_()
    return x * 1


def images(x):
    y = x * 1
    return y.add_(1) + x


CASES = [
    ("fresh", lambda x: CONV(x).relu_(), True),
    ("twice", lambda x: F.dropout(CONV(x).relu_(), inplace=True, training=False) * 2, True),
    ("read later", lambda x: (lambda y: y.relu_() + y)(CONV(x)), True),
    ("copy of the images", images, True),
    ("read before", read_before, False),
    ("view before", view_before, False),
    ("through a view", through_a_view, False),
    ("nothing in place", lambda x: CONV(x).relu(), True),
    (
        "unknown operator",
        lambda x: torch.einsum("bchw,dc->bdhw", x, CONV.weight[:, :, 0, 0]),
        False,
    ),
]


@pytest.mark.parametrize(
    ("function", "is_short"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_writes(check, monkeypatch, function, is_short):
    export = importlib.import_module("hybridquant.capture.export")
    answers = []

    def asked(*arguments):
        answers.append(is_simple(*arguments))
        return answers[-1]

    is_simple = export.is_simple
    monkeypatch.setattr(export, "is_simple", asked)
    check(function)
    assert answers == [is_short]
