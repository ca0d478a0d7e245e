"""The printed graph and its plain form."""

import json

import pytest
import torch
from torch import nn

from hybridquant.capture import capture, describe, describe_json


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.blocks = nn.Sequential(
            *[nn.Sequential(nn.Conv2d(4, 4, 1, groups=2)) for _ in range(2)]
        )
        self.qkv, self.head = nn.Linear(4, 12), nn.Linear(4, 5, bias=False)

    def forward(self, x):
        x = self.blocks(self.stem(x)).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(x).chunk(3, -1)
        return self.head(((q @ k.transpose(1, 2)) @ v).mean(1))


@pytest.fixture(scope="module")
def graph():
    return capture(Model().eval(), torch.zeros(1, 3, 8, 8))


def test_plain_form_is_json_with_totals(graph):
    plain = json.loads(json.dumps(describe_json(graph)))
    assert plain == describe_json(graph)
    assert plain["weights"] == sum(p.numel() for p in Model().parameters())
    assert plain["macs"] == sum(row["macs"] for row in plain["operators"])
    assert plain["kinds"]["conv2d"]["count"] == 3
    assert plain["blocks"] == ["blocks.0", "blocks.1"]
    assert len(plain["bridges"]) == 1


MACS = [
    ("stem", "conv2d", 64 * 4 * 3 * 9),
    ("blocks.0.0", "conv2d", 64 * 4 * 2),
    ("qkv", "linear", 64 * 12 * 4),
    ("", "matmul", 64 * 64 * 4),
    ("head", "linear", 5 * 4),
]


@pytest.mark.parametrize(("path", "kind", "macs"), MACS)
def test_macs_of_one_image(graph, path, kind, macs):
    rows = describe_json(graph)["operators"]
    assert next(r["macs"] for r in rows if (r["path"], r["kind"]) == (path, kind)) == macs


def test_transposed_convolution_counts_its_input():
    graph = capture(nn.ConvTranspose2d(3, 4, 2, stride=2).eval(), torch.zeros(1, 3, 8, 8))
    assert describe_json(graph)["macs"] == 64 * 3 * 4 * 4


def test_table_marks_blocks_and_bridges(graph):
    text = describe(graph)
    assert "block blocks.1\n" in text
    assert "0 to tokens" in text
    assert "[N, 64, 12]" in text
    assert text.splitlines()[0].split() == [
        "#",
        "operator",
        "module",
        "output",
        "weights",
        "MACs",
        "bridge",
    ]
    assert all(line == line.rstrip() for line in text.splitlines())


def test_merged_batch_is_written_out():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(0, 1)).eval()
    graph = capture(model, torch.zeros(2, 3, 8, 8))
    assert "[4N, 8, 8]" in describe(graph)
