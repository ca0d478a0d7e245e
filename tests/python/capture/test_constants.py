"""Folding of what does not depend on the images."""

import pytest
import torch
from torch import nn

from hybridquant.capture import UnsupportedOperatorError, capture

TOKEN = torch.randn(1, 1, 8, generator=torch.Generator().manual_seed(0))
TABLE = torch.randn(16, generator=torch.Generator().manual_seed(1))
PLACES = torch.arange(64).view(8, 8) % 16


def encoding(x):
    ones = torch.ones(x.shape[0], 8, 8, dtype=torch.bool, device=x.device)
    return x + ones.cumsum(1, dtype=torch.float32).div(8).sin().unsqueeze(1)


def standardized(x, weight):
    flat = weight.reshape(1, 4, -1)
    weight = nn.functional.batch_norm(flat, None, None, training=True).reshape_as(weight)
    return nn.functional.conv2d(x, weight)


CASES = [
    (
        "token for each image",
        lambda x, t: torch.cat([t.expand(x.shape[0], -1, -1), x[:, 0]], 1),
        [TOKEN],
        ["slice", "reshape", "expand_batch", "cat"],
    ),
    (
        "token by repeat",
        lambda x, t: torch.cat([t.repeat(x.shape[0], 1, 1), x[:, 0]], 1),
        [TOKEN],
        ["slice", "reshape", "expand_batch", "cat"],
    ),
    (
        "merged batch",
        lambda x, t: t.expand(x.shape[0] * 3, 1, 8).flatten(1).mm(torch.ones(8, 2)),
        [TOKEN],
        ["expand_batch"],
    ),
    ("encoding", encoding, [], ["add"]),
    ("zeros like", lambda x: x + torch.zeros_like(x).exp(), [], ["add"]),
    ("position table", lambda x, t: x + t[PLACES], [TABLE], ["add"]),
    ("standardized weight", standardized, [torch.randn(4, 3, 2, 2)], ["conv2d"]),
]


@pytest.mark.parametrize(
    ("function", "weights", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_constants(check, function, weights, expected):
    assert sorted(check(function, *weights).kinds) == sorted(expected)


def test_folded_weight_keeps_its_name_and_trains(check):
    graph = check(standardized, torch.randn(4, 3, 2, 2)).graph
    assert dict(graph.named_parameters()).keys() == {"weights.0"}


def test_folded_table_has_a_name_of_its_own(check):
    graph = check(lambda x, t: x + t[PLACES], TABLE).graph
    assert dict(graph.named_parameters()).keys() == {"constant_0"}


REFUSED = [
    ("numbered images", lambda x: x + torch.arange(x.shape[0]).view(-1, 1, 1, 1)),
    ("share of the batch", lambda x: x + torch.ones(()) / x.shape[0]),
]


@pytest.mark.parametrize("function", [c[1] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_constants_that_differ_between_images(check, function):
    with pytest.raises(UnsupportedOperatorError, match=r"not the same for each image|batch size"):
        check(function)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_constants_are_on_the_models_device():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.ones(1, 1, 8))

        def forward(self, x):
            rows = x.flip(2)[:, 0] + torch.ones_like(x[:, 0]).cumsum(1)
            return torch.cat([self.token.expand(x.shape[0], -1, -1), rows], 1)

    model, x = Model().eval().cuda(), torch.randn(2, 3, 8, 8).cuda()
    torch.testing.assert_close(capture(model, x)(x), model(x))
