"""docs/format.md names every node as the package checks it, and its program reads a file."""

import re
from pathlib import Path

import pytest
import torch

from hybridquant.data import DataConfig
from hybridquant.export import save_integer_model
from hybridquant.export.integer_ops import OPS
from hybridquant.export.integer_reader import (
    GRAPH_KEYS,
    NODE_KEYS,
    OPTIONAL_TENSOR_KEYS,
    TENSOR_KEYS,
)
from hybridquant.lower import Codes, IntGraph, IntNode, IntTensor

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n## Nodes\n")[2]
ROWS = {
    cells[0].strip("`"): cells[1:]
    for cells in (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in SECTION.splitlines()
        if line.startswith("| `")
    )
}
TYPES = {
    ("uint8", "int8", "int16"): "narrow",
    ("uint8", "int8", "int16", "int32"): "wide",
    ("uint8", "int8", "int16", "int32", "int64"): "any",
    ("output",): "of output codes",
}


def types(dtypes):
    return TYPES.get(dtypes, " or ".join(dtypes))


def test_every_kind_of_node_has_a_row():
    assert set(ROWS) == set(OPS)


@pytest.mark.parametrize("name", OPS)
def test_a_row_is_what_is_checked(name):
    op, (inputs, attributes, constants, _) = OPS[name], ROWS[name]
    shapes = [f"{types(op.dtypes)} [{', '.join(shape)}]" for shape in op.inputs or [("*",)]]
    assert inputs == ", ".join(shapes) + ("" if op.inputs else ", one or more")
    names = [f"`{attribute}`" for attribute in op.attributes]
    assert attributes == ", ".join([*names, *(f"optional `{name}`" for name in op.optional)])
    assert constants == ", ".join(
        f"{'optional ' * c.is_optional}`{key}` {types(c.dtypes)} [{', '.join(c.shape)}]"
        for key, c in op.constants.items()
    )


def test_every_field_has_a_row():
    fields = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", PAGE.partition("\n## Nodes\n")[0], re.M)
    names = [name for field in fields for name in re.findall(r"\w+", field)]
    assert sorted(names) == sorted(
        (
            *("format", "version", "graph"),
            *(*GRAPH_KEYS, *TENSOR_KEYS, *OPTIONAL_TENSOR_KEYS, *NODE_KEYS),
        )
    )


LIMITS = [
    ("tensor_file.cpp", "kLargestHeader", 2**24, "The header has at most 16 MiB"),
    ("tensor_file.h", "kLargestRank", 6, "at most 6 axes"),
    ("graph.cpp", "kLargestCount", 100_000, "at most 100,000\ntensors and 100,000 nodes"),
    (
        "tensor_file.cpp",
        "kLargestFile",
        2**30,
        "the file; the codes of one tensor; .* | 1 GiB each",
    ),
    ("compiler.cpp", "kLargestTensor", 2**30, "the codes of one tensor; .* | 1 GiB each"),
    ("compiler.cpp", "kLargestConstants", 2**30, "the constants as kernels hold .* | 1 GiB each"),
    ("model.cpp", "kLargestArena", 2**30, "the codes that are kept at one time | 1 GiB each"),
    ("compiler.cpp", "kLargestScratch", 2**26, "what a thread works in .* | 64 MiB"),
    ("compiler.cpp", "kMostSteps", 2**18, "steps: .* | 2^18"),
    ("compiler.cpp", "kMostOperations", 2**40, "operations for an image: .* | 2^40"),
    ("nodes/conv2d.cpp", "kLargestSize", 2**20, "in `conv2d`: .* | 2^20 each"),
    ("nodes/pool2d.cpp", "kLargestWindow", 2**15, "in pools: .* | 2^15 each"),
    ("json.cpp", "kLargestDepth", 16, "how deep lists and objects .* | 16"),
]


@pytest.mark.parametrize(("file", "name", "value", "text"), LIMITS)
def test_limits_are_those_of_the_runtime(file, name, value, text):
    source = (ROOT / "csrc" / "runtime" / file).read_text(encoding="utf-8")
    ((base, shift),) = re.findall(rf" {name} = (?:[\w:]+{{)?([\d']+)}}?(?: << (\d+))?;", source)
    assert int(base.replace("'", "")) << int(shift or 0) == value
    parts = [re.escape(part) for part in text.split(".*")]
    assert re.search(".*".join(parts), PAGE.partition("\n## Limits\n")[2])


def weighted(weight):
    """Return a graph of one linear layer."""
    count = len(weight)
    tensors = {
        "image": IntTensor("image", (1, 3, 2, 2), Codes("uint8", 1 / 255, 0, 0, 255)),
        "logits": IntTensor("logits", (1, 3, 2, count), Codes("int8", 0.1, 0, -128, 127)),
    }
    constants = {
        "weight": weight,
        "bias": torch.zeros(count, dtype=torch.int32),
        "m": torch.full((count,), 2**30, dtype=torch.int32),
        "shift": torch.full((count,), 33, dtype=torch.int32),
    }
    node = IntNode("linear", ("image",), "logits", "head", {}, constants)
    return IntGraph(tensors, [node], "image", "logits")


@pytest.mark.parametrize("weight", [[[7, -8], [0, -1], [3, 1]], [[8, -8], [0, -1], [3, 1]]])
def test_the_program_reads_a_file(weight, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    graph = weighted(torch.tensor(weight, dtype=torch.int8))
    save_integer_model(graph, "model.safetensors", DataConfig((3, 2, 2)))
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names = {}
    exec(compile(code, "docs/format.md", "exec"), names)
    assert capsys.readouterr().out == "linear image -> logits {}\n"
    (read,) = names["weights"]
    assert torch.tensor(read).reshape(3, 2).tolist() == weight
