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


def filled(x):
    x = x.clone()
    x[:, 0] = 0
    x[:, :, :2] = 0.0
    x[:, -1, 2:4].fill_(2)
    return x


def replaced(x):
    x = x.clone()
    x[...] = 0.5
    return x + 1


def framed(x):
    frame = torch.zeros(x.shape[0], 4, 10, 10)
    frame[:, 1:, 1:-1, 1:-1] = x
    frame[:, 0] = 1
    return frame


def interleaved(x):
    both = torch.empty_like(x)
    both[:, :, 0::2] = x[:, :, :4]
    both[:, :, 1:-2:2] = 3
    both[:, :, 7] = x[:, :1, 7]
    return both


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
    ("write a number into parts", filled, None),
    # Newer torch exports a constant here, and the addition is folded into it.
    ("write a number everywhere", replaced, None),
    ("write into a constant", framed, None),
    ("write every other entry", interleaved, None),
]


@pytest.mark.parametrize(
    ("function", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_slices(check, function, expected):
    found = check(function).kinds
    assert found == expected or expected is None
