"""The golden integer models that C++ is compared with are what the package still computes."""

import hashlib
from pathlib import Path

import pytest
import torch

from hybridquant.export import load_integer_model
from hybridquant.export.integer_ops import OPS
from hybridquant.lower import simulate
from hybridquant.lower.int_graph import DTYPES

FOLDER = Path(__file__).parents[2] / "golden" / "models"
LINES = [line.split() for line in (FOLDER / "manifest.txt").read_text().splitlines()]
MODELS = {words[1]: words[2:] for words in LINES if words[0] == "model"}
FILES = {words[1]: words[2] for words in LINES if words[0] == "file"}


def test_the_manifest_has_every_file_and_its_hash():
    found = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    del found["manifest.txt"]
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}
    assert hashes == FILES
    assert set(found) == {
        f"{name}{suffix}" for name in MODELS for suffix in (".safetensors", ".codes")
    }


def test_every_kind_of_node_is_among_them():
    assert {op for ops in MODELS.values() for op in ops} == set(OPS) - {"external"}


@pytest.mark.parametrize("name", MODELS)
def test_every_node_computes_its_codes(name):
    graph, _, _ = load_integer_model(FOLDER / f"{name}.safetensors")
    assert sorted({node.op for node in graph.nodes}) == MODELS[name]
    codes = (FOLDER / f"{name}.codes").read_bytes()

    def take(tensor):
        nonlocal codes
        values = torch.empty(tensor.shape, dtype=DTYPES[tensor.codes.dtype])
        size = values.numel() * values.element_size()
        taken, codes = codes[:size], codes[size:]
        return torch.frombuffer(bytearray(taken), dtype=values.dtype).reshape(values.shape)

    values = simulate(graph, take(graph.tensors[graph.input]))
    for node in graph.nodes:
        assert torch.equal(values[node.output], take(graph.tensors[node.output]).long()), node
    assert not codes
