"""Rows and columns are followed through reshapes, permutes and products."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hybridquant.capture import capture
from hybridquant.capture.layouts import domain, find_layouts

CONV = nn.Conv2d(4, 4, 3, padding=1).requires_grad_(False)
POINT = nn.Conv2d(4, 4, 1).requires_grad_(False)
LINEAR = nn.Linear(4, 6).requires_grad_(False)


def unfold(x):
    """Patches of 2 x 2: [batch * 4, patches, channels]."""
    x = x.reshape(-1, 2, 4, 2).transpose(1, 2).reshape(x.shape[0], 4, 16, 4)
    return x.transpose(1, 3).reshape(-1, 16, 4)


def fold(x):
    x = x.reshape(-1, 4, 16, 4).transpose(1, 3).reshape(-1, 4, 2, 2)
    return x.transpose(1, 2).reshape(-1, 4, 8, 8)


def windows(x):
    x = x.permute(0, 2, 3, 1).unflatten(2, (2, 4)).unflatten(1, (2, 4))
    return x.transpose(2, 3).reshape(-1, 16, 4)


CASES = [
    ("images", lambda x: x + 1, "local"),
    ("convolution", CONV, "local"),
    ("strided", lambda x: F.conv2d(x, CONV.weight, stride=2), "local"),
    ("pooled", lambda x: F.max_pool2d(x, 2), "local"),
    ("cropped", lambda x: x[:, :, 1:-1], "local"),
    ("shifted", lambda x: x.roll(3, 2), "local"),
    ("channels last", lambda x: x.permute(0, 2, 3, 1), "local"),
    ("linear on channels last", lambda x: LINEAR(x.permute(0, 2, 3, 1)), "local"),
    ("channel shuffle", lambda x: x.unflatten(1, (2, 2)).transpose(1, 2).flatten(1, 2), "local"),
    ("flattened", lambda x: x.flatten(2), "token"),
    ("flattened and back", lambda x: x.flatten(2).unflatten(2, (8, 8)) + 1, "local"),
    ("swapped", lambda x: x.flatten(2).unflatten(2, (4, 16)), "token"),
    ("unfolded", unfold, "token"),
    ("unfolded and folded", lambda x: fold(unfold(x)), "local"),
    ("windows", windows, "token"),
    ("pointwise on patches", lambda x: POINT(unfold(x).reshape(-1, 4, 16, 4).mT), "token"),
    ("window over patches", lambda x: CONV(unfold(x).reshape(-1, 4, 16, 4)), "local"),
    ("tokens and one more", lambda x: F.pad(x.flatten(2), (1, 0)), "token"),
    ("attention map", lambda x: x.flatten(2).mT @ x.flatten(2), "token"),
    ("attention", lambda x: (x.flatten(2).mT @ x.flatten(2)) @ x.flatten(2).mT, "token"),
    ("channel attention", lambda x: x.flatten(2) @ x.flatten(2).mT, "none"),
    (
        "back from attention",
        lambda x: (x.flatten(2) @ (x.flatten(2).mT @ x.flatten(2))).view_as(x),
        "local",
    ),
    ("global pooling", lambda x: x.mean((2, 3)), "none"),
    ("squeeze and excite", lambda x: x * x.mean((2, 3), keepdim=True), "local"),
    ("mean of tokens", lambda x: x.flatten(2).mean(2), "none"),
    ("upsampled", lambda x: F.interpolate(x, scale_factor=2), "local"),
]


@pytest.mark.parametrize(
    ("function", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_domains(function, expected):
    class Model(nn.Module):
        def forward(self, x):
            return function(x)

    nodes = capture(Model().eval(), torch.zeros(2, 4, 8, 8)).graph
    result = next(node for node in nodes.nodes if node.op == "output").args[0]
    assert domain(find_layouts(nodes)[result]) == expected
