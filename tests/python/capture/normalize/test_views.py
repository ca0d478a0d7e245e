"""Views: one reshape or permute each, or nothing."""

import pytest
import torch

CASES = [
    ("view", lambda x: x.view(x.shape[0], -1), ["reshape"]),
    ("flatten", lambda x: x.flatten(2), ["reshape"]),
    ("unflatten", lambda x: x.unflatten(3, (2, 4)), ["reshape"]),
    ("unsqueeze and squeeze", lambda x: x.unsqueeze(1).squeeze(1), []),
    ("squeeze one axis", lambda x: x[:, :1].squeeze(1), ["slice", "reshape"]),
    ("batch merged", lambda x: x.reshape(x.shape[0] * 3, 8, 8), ["reshape"]),
    ("batch merged and split", lambda x: x.flatten(0, 1).unflatten(0, (-1, 3)), []),
    ("transpose", lambda x: x.transpose(1, -1), ["permute"]),
    ("permute and back", lambda x: x.permute(0, 2, 3, 1).permute(0, 3, 1, 2), []),
    ("movedim", lambda x: x.movedim(1, -1), ["permute"]),
    ("mT", lambda x: x.mT, ["permute"]),
    ("expand for broadcasting", lambda x: x * x[:, :1].expand_as(x), ["slice", "mul"]),
    ("expand", lambda x: x[:, :1].expand(-1, 4, -1, -1), ["slice", "expand"]),
    ("repeat", lambda x: x.repeat(1, 2, 1, 1), ["reshape", "expand", "reshape"]),
    ("interleave", lambda x: x.repeat_interleave(2, dim=2), ["reshape", "expand", "reshape"]),
    (
        "pixel_shuffle",
        lambda x: torch.pixel_shuffle(x.reshape(-1, 12, 4, 4), 2),
        ["reshape", "permute", "reshape"],
    ),
]


@pytest.mark.parametrize(
    ("function", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_views(check, function, expected):
    assert check(function).kinds == expected
