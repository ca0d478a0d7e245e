"""Parts of tensors: slices, reshapes and cats."""

import pytest
import torch


def written(x):
    x = x.clone()
    x[:, 1:] = x[:, 1:] * 2
    return x


def written_one(x):
    x = x.clone()
    x[:, 1] += 3
    return x


CASES = [
    ("all", lambda x: x[:, :, :, :], []),
    ("negative", lambda x: x[:, -2:], ["slice"]),
    ("step", lambda x: x[:, :, ::2, 1::2], ["slice", "slice"]),
    ("select", lambda x: x[:, -1], ["slice", "reshape"]),
    ("narrow", lambda x: x.narrow(2, 1, 3), ["slice"]),
    ("chunk", lambda x: x.chunk(2, 2)[1], ["slice"]),
    ("split in uneven parts", lambda x: x.split([3, 5], -1)[1], ["slice"]),
    ("unbind", lambda x: x.unbind(1)[0] + x.unbind(1)[2], ["slice", "reshape"] * 2 + ["add"]),
    ("stack", lambda x: torch.stack([x, x], 1), ["reshape", "reshape", "cat"]),
    ("cat", lambda x: torch.cat([x, x], -3), ["cat"]),
    ("roll", lambda x: x.roll((2, -1), (2, 3)), ["slice", "slice", "cat"] * 2),
    ("roll by nothing", lambda x: x.roll(8, 2), []),
    ("write into a slice", written, ["slice", "mul", "slice", "cat"]),
    ("write into an entry", written_one, None),
]


@pytest.mark.parametrize(
    ("function", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_slices(check, function, expected):
    found = check(function).kinds
    assert found == expected or expected is None
