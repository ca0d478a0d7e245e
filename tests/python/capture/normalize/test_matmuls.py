"""Products: linear where one operand is a trained matrix, matmul between activations."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

MATRIX = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
HALF = torch.randn(4, generator=torch.Generator().manual_seed(2))

CASES = [
    ("product with a parameter", lambda x, w: x @ w, ["linear"], [MATRIX]),
    ("addmm", lambda x, w, b: torch.addmm(b, x[:, 0, 0], w), None, [MATRIX, HALF]),
    ("activations", lambda x: x @ x.mT, ["permute", "matmul"], []),
    ("bmm", lambda x: torch.bmm(x[:, 0], x[:, 1]), None, []),
    ("einsum", lambda x: torch.einsum("bcij,bckj->bcik", x, x), None, []),
    ("attention", lambda x: F.scaled_dot_product_attention(x, x, x), None, []),
    ("scale", lambda x: F.scaled_dot_product_attention(x, x, x, scale=0.5), None, []),
    ("causal", lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True), None, []),
    (
        "shared keys",
        lambda x: F.scaled_dot_product_attention(
            x[:, [0, 1, 2, 0]], x[:, :2], x[:, :2], enable_gqa=True
        ),
        None,
        [],
    ),
    (
        "mask of numbers",
        lambda x, w: F.scaled_dot_product_attention(x, x, x, attn_mask=w @ w.mT),
        None,
        [MATRIX],
    ),
    (
        "mask of booleans",
        lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=torch.eye(8) > 0),
        None,
        [],
    ),
]


@pytest.mark.parametrize(
    ("function", "expected", "weights"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_products(check, function, expected, weights):
    found = check(function, *weights).kinds
    assert found == expected or expected is None
    allowed = {
        "index_select",
        "linear",
        "matmul",
        "permute",
        "reshape",
        "slice",
        "mul",
        "add",
        "softmax",
    }
    assert set(found) <= allowed


def test_attention_is_spelled_out(check):
    found = check(lambda x: F.scaled_dot_product_attention(x, x, x)).kinds
    assert sorted(found[:2]) == ["mul", "permute"]
    assert found[2:] == ["matmul", "softmax", "matmul"]


class TokenAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        tokens = x.flatten(1, 2)
        return self.attention(tokens, tokens, tokens, need_weights=False)[0]


def test_multihead_attention(check):
    graph, found = check(TokenAttention())
    assert found.count("matmul") == 2
    assert set(graph.state_dict()) == {
        "attention.in_proj_weight",
        "attention.in_proj_bias",
        "attention.out_proj.weight",
        "attention.out_proj.bias",
    }
