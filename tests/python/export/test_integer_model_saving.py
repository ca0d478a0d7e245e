"""Integer models that could not be loaded are not saved, and a file is written whole or not."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from integer_graphs import CLASSES, CONFIG, SMALL, small_graph

from hybridquant.export import integer_model_bytes, parse_integer_model, save_integer_model
from hybridquant.lower import Codes
from hybridquant.recipe.field_error import FieldError


def changed_node(index, /, **fields):
    def change(graph):
        graph.nodes[index] = replace(graph.nodes[index], **fields)

    return change


def changed_tensor(key, /, **fields):
    def change(graph):
        graph.tensors[key] = replace(graph.tensors[key], **fields)

    return change


UNFIT = {
    "float attribute": (
        changed_node(6, attributes={"amounts": [1, 0], "code": 7.0}),
        "attributes.code must be a whole",
    ),
    "tuple": (
        changed_node(7, attributes={"shape": (1, 40)}),
        r"nodes\[7\].attributes.shape must be a list, got \(1, 40\)",
    ),
    "tensor attribute": (
        changed_node(5, attributes={"form": "table", "m": torch.tensor(5)}),
        r"m must be a whole number from 1 to 16777215, got tensor\(5\)",
    ),
    "kind": (
        changed_node(5, op="log_softmax"),
        r"nodes\[5\].op must be an operator, got 'log_softmax'",
    ),
    "dangling": (
        changed_node(5, inputs=("nothing",)),
        r"nodes\[5\].inputs\[0\] must be the name of a tensor",
    ),
    "order": (
        lambda graph: graph.nodes.reverse(),
        r"nodes\[0\].inputs\[0\] must be the image, a constant or",
    ),
    "no node": (
        lambda graph: graph.nodes.clear(),
        "output must be computed by a node, got 'logits'",
    ),
    "name": (
        changed_tensor("x", name="other"),
        r"graph.tensors\['x'\] must have its own name, got 'other'",
    ),
    "scale": (
        changed_tensor("x", codes=Codes("uint8", float("nan"), 0, 0, 255)),
        r"tensors\[1\].scale must be a finite number above 0, got nan",
    ),
    "shape": (
        changed_tensor("x", shape=(1, 3, 4, 5)),
        r"nodes\[0\].output must be a tensor of shape",
    ),
    "value": (
        changed_tensor("place", value=torch.zeros(1, 1, 4, 4)),
        r"value must be of int16, got 'torch.float32'",
    ),
}


@pytest.mark.parametrize(("change_graph", "text"), UNFIT.values(), ids=UNFIT)
def test_a_graph_that_could_not_be_loaded_is_not_saved(change_graph, text, tmp_path):
    graph = small_graph()
    change_graph(graph)
    with pytest.raises(FieldError, match=f"^save_integer_model: .*{text}"):
        save_integer_model(graph, tmp_path / "m", SMALL)
    assert list(tmp_path.iterdir()) == []


def test_config_and_classes_must_fit_the_graph(tmp_path):
    size = (
        r"save_integer_model: config.input_size must be the graph's \(3, 4, 4\), got \(3, 16, 16\)"
    )
    with pytest.raises(FieldError, match=size):
        save_integer_model(small_graph(), tmp_path / "m", CONFIG)
    with pytest.raises(FieldError, match="classes must have no name or 5, one a logit, got 4"):
        save_integer_model(small_graph(), tmp_path / "m", SMALL, CLASSES[:4])
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_where_writing_fails(monkeypatch, tmp_path):
    def no_room(*_):
        raise OSError(28, "No space left on device")

    (tmp_path / "m").write_text("old")
    for name in ("write_bytes", "replace"):
        with monkeypatch.context() as patched:
            patched.setattr(Path, name, no_room)
            with pytest.raises(OSError, match="No space left"):
                save_integer_model(small_graph(), tmp_path / "m", SMALL)
        assert [file.name for file in tmp_path.iterdir()] == ["m"]
        assert (tmp_path / "m").read_text() == "old"


def test_a_folder_must_be_there(tmp_path):
    for path in (tmp_path, tmp_path / "missing" / "m"):
        text = rf"path must be a file in an existing folder, got {re.escape(str(path))}$"
        with pytest.raises(FileNotFoundError, match=text):
            save_integer_model(small_graph(), path, SMALL)
    assert list(tmp_path.iterdir()) == []


def test_bytes_are_those_of_the_file(tmp_path):
    save_integer_model(small_graph(), tmp_path / "m", SMALL, CLASSES)
    data = integer_model_bytes(small_graph(), SMALL, CLASSES)
    assert data == (tmp_path / "m").read_bytes()
    graph, preprocessing, classes = parse_integer_model(data)
    assert list(graph.tensors) == list(small_graph().tensors)
    assert (preprocessing.input_size, classes) == (SMALL.input_size, CLASSES)


def test_functions_on_bytes_name_themselves():
    with pytest.raises(FieldError, match=r"^integer_model_bytes: classes.*got"):
        integer_model_bytes(small_graph(), SMALL, ("one",))
    with pytest.raises(FieldError, match=r"^parse_integer_model: file must"):
        parse_integer_model(integer_model_bytes(small_graph(), SMALL)[:-1])
