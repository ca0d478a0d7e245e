"""Masks of attention."""

import pytest
import torch
import torch.nn.functional as F

from hybridquant.capture import capture
from hybridquant.capture.attention_masks import is_masked

KEEP = torch.ones(8, 8, dtype=torch.bool).tril()
MASK = torch.zeros(8, 8).masked_fill(~KEEP, float("-inf"))
BIAS = torch.linspace(-1, 1, 64).view(8, 8)


def softmax_of(captured):
    return next(n for n in captured.graph.graph.nodes if n.meta["kind"] == "softmax")


CASES = [
    ("infinite", lambda x: (x + MASK).softmax(-1), 1),
    ("behind a view", lambda x: (x[:, None] + MASK).flatten(1, 2).softmax(-1), 1),
    ("largest number", lambda x: x.masked_fill(~KEEP, torch.finfo().min).softmax(-1), 1),
    ("booleans", lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=KEEP), 1),
    ("with a bias", lambda x: (x + (MASK + BIAS)).softmax(-1), 2),
]


@pytest.mark.parametrize(
    ("function", "additions"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_masks_are_finite_and_added_alone(check, function, additions):
    captured = check(function)
    assert captured.kinds.count("add") == additions
    masks = [value for value in captured.graph.buffers() if value.min() < -2]
    assert [value.unique().tolist() for value in masks] == [[-1000, 0]]
    assert is_masked(captured.graph, softmax_of(captured))


def test_a_bias_alone_stays_trainable(check):
    captured = check(lambda x, bias: (x + bias).softmax(-1), BIAS)
    assert torch.equal(next(captured.graph.parameters()), BIAS)
    assert not is_masked(captured.graph, softmax_of(captured))


def test_what_is_not_read_by_a_softmax_stays(check):
    captured = check(lambda x: (x + (BIAS - 2000)).mean(-1))
    assert next(captured.graph.buffers()).min() < -2000


def test_smaller_numbers_mask_too():
    graph = capture(torch.nn.Sequential(Shifted()).eval(), torch.zeros(1, 3, 8, 8))
    softmax = next(n for n in graph.graph.nodes if n.meta["kind"] == "softmax")
    assert is_masked(graph, softmax)


class Shifted(torch.nn.Module):
    """Swin's mask."""

    def forward(self, x):
        return (x + (~KEEP).float() * -100).softmax(-1)
