"""What is loaded from an integer model file is what was saved, and its bytes are the same."""

import json
from dataclasses import replace

import pytest
import torch
from integer_graphs import (
    BYTES,
    CLASSES,
    CONFIG,
    FUNCTIONS,
    LEVELS,
    SMALL,
    SUMS,
    attention,
    linear_attention,
    lowered,
    small_graph,
)

import hybridquant
from hybridquant.export import Preprocessing, load_integer_model, save_integer_model
from hybridquant.export.integer_file import file_content
from hybridquant.export.integer_ops import OPS
from hybridquant.export.nibbles import pack_nibbles, unpack_nibbles
from hybridquant.lower import simulate
from hybridquant.lower.simulate import SIMULATORS


def assert_equal(found, wanted):
    """Compare graphs tensor for tensor, and the codes that they compute."""
    assert (found.input, found.output) == (wanted.input, wanted.output)
    assert list(found.tensors) == list(wanted.tensors)
    for name, tensor in wanted.tensors.items():
        assert replace(found.tensors[name], value=None) == replace(tensor, value=None)
        assert_same(found.tensors[name].value, tensor.value)
    assert len(found.nodes) == len(wanted.nodes)
    for node, expected in zip(found.nodes, wanted.nodes, strict=True):
        assert replace(node, constants={}) == replace(expected, constants={})
        assert set(node.constants) == set(expected.constants)
        for name, value in expected.constants.items():
            assert_same(node.constants[name], value)


def assert_same(found, wanted):
    if wanted is None:
        assert found is None
    else:
        assert found.dtype == wanted.dtype
        assert found.is_contiguous()
        assert torch.equal(found, wanted)


def assert_same_codes(found, wanted):
    size = wanted.tensors[wanted.input].shape[2]
    for image in BYTES[:3, :, :size, :size]:
        codes, expected = simulate(found, image[None]), simulate(wanted, image[None])
        assert all(torch.equal(codes[name], expected[name]) for name in expected)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipes")
    graphs = {name: lowered(folder, function) for name, function in FUNCTIONS.items()}
    graphs["sums"] = lowered(folder, linear_attention, more=SUMS)
    graphs["4 bits"] = lowered(folder, attention, bits=4)
    graphs["levels"] = lowered(folder, attention, more=LEVELS)
    graphs["by hand"] = small_graph()
    return graphs


@pytest.mark.parametrize("name", [*FUNCTIONS, "sums", "4 bits", "levels", "by hand"])
def test_what_is_loaded_is_what_was_saved(name, graphs, tmp_path):
    graph, config = graphs[name], SMALL if name == "by hand" else CONFIG
    save_integer_model(graph, tmp_path / "m.safetensors", config, CLASSES)
    found, preprocessing, classes = load_integer_model(tmp_path / "m.safetensors")
    assert_equal(found, graph)
    assert_same_codes(found, graph)
    assert preprocessing == Preprocessing(config.input_size, "bicubic", 0.9, "squash")
    assert classes == CLASSES


def test_every_kind_of_node_is_among_them(graphs):
    kinds = {node.op for graph in graphs.values() for node in graph.nodes}
    # test_allow_float.py has the one that calls functions.
    assert kinds | {"external"} == set(OPS) == set(SIMULATORS.names())


def test_the_same_graph_gives_the_same_bytes(tmp_path):
    # Eight times: in one of two the container's library writes the metadata in another order.
    for number in range(8):
        save_integer_model(small_graph(), str(tmp_path / f"{number}.bin"), SMALL, CLASSES)
    assert len({file.read_bytes() for file in tmp_path.iterdir()}) == 1
    found, _, classes = load_integer_model(tmp_path / "0.bin")
    save_integer_model(found, tmp_path / "again.bin", SMALL, classes)
    assert (tmp_path / "again.bin").read_bytes() == (tmp_path / "0.bin").read_bytes()


def test_the_container_is_what_the_page_says(tmp_path):
    save_integer_model(small_graph(), tmp_path / "m.safetensors", SMALL)
    data = (tmp_path / "m.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    assert set(metadata) == {"format", "version", "graph"}
    assert (metadata["format"], metadata["version"]) == ("hybridquant-integer", "1")
    sizes = {"U8": 1, "I8": 1, "I16": 2, "I32": 4, "I64": 8}
    for entry in header.values():
        assert entry["data_offsets"][0] % sizes[entry["dtype"]] == 0
    graph = json.loads(metadata["graph"])
    assert graph["producer"] == f"hybridquant {hybridquant.__version__}"
    entries = graph["nodes"][1]["constants"]
    packed = {"key": "nodes.1.weight", "bits": 4, "shape": [2, 3, 3, 3]}
    assert entries["weight"] == packed
    assert header["nodes.1.weight"]["dtype"] == "U8"
    assert header["nodes.1.weight"]["shape"] == [27]
    assert entries["bias"] == "nodes.1.bias"
    assert graph["nodes"][8]["constants"]["weight"] == "nodes.8.weight"
    assert header["nodes.8.weight"]["dtype"] == "I8"
    assert [t["value"] for t in graph["tensors"] if t["value"]] == ["tensors.place"]


@pytest.mark.parametrize("count", [1, 2, 3, 16, 17])
def test_nibbles(count):
    codes = (torch.arange(count) * 5 % 16 - 8).to(torch.int8)
    packed = pack_nibbles(codes)
    low, high = codes[::2].tolist(), [*codes[1::2].tolist(), 0]
    pairs = zip(low, high, strict=False)
    assert packed.dtype == torch.uint8
    assert packed.tolist() == [(a % 16) + 16 * (b % 16) for a, b in pairs]
    assert_same(unpack_nibbles(packed, count), codes)


@pytest.mark.parametrize(
    ("weight", "is_packed"),
    [([-8, 7, 0], True), ([-9, 0, 0], False), ([8, 0, 0], False), ([-1, -1, -1], True)],
)
def test_weights_that_fit_4_bits_are_packed(weight, is_packed, tmp_path):
    graph = small_graph()
    constants = dict(graph.nodes[8].constants)
    constants["weight"] = torch.zeros(5, 40, dtype=torch.int8)
    constants["weight"][2, 7:10] = torch.tensor(weight)
    graph.nodes[8] = replace(graph.nodes[8], constants=constants)
    save_integer_model(graph, tmp_path / "m", SMALL)
    _, tensors = file_content((tmp_path / "m").read_bytes())
    assert (tensors["nodes.8.weight"].dtype == torch.uint8) == is_packed
    assert_equal(load_integer_model(tmp_path / "m")[0], graph)


def test_constants_that_share_memory_or_are_strided_are_kept(tmp_path):
    graph = small_graph()
    table = torch.arange(768, dtype=torch.uint8).reshape(256, 3).mT
    graph.nodes[0] = replace(graph.nodes[0], constants={"table": table})
    shared = graph.nodes[5].constants["table"]
    graph.nodes[4] = replace(graph.nodes[4], constants={"table": shared})
    save_integer_model(graph, tmp_path / "m", SMALL)
    found, _, _ = load_integer_model(tmp_path / "m")
    assert torch.equal(found.nodes[0].constants["table"], table)
    assert torch.equal(found.nodes[4].constants["table"], shared)
