"""What an IntegerModel takes, gives, says of itself, and refuses."""

import copy
import multiprocessing
import pickle
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from engine_cases import (
    CLASSES,
    CONFIG,
    FUNCTIONS,
    NOISE,
    PHOTOGRAPHS,
    RECIPE,
    Hybrid,
    integer_model,
)

import hybridquant as hq


def test_it_says_what_it_is():
    model = integer_model()
    assert (model.input_size, model.num_logits, model.classes) == ((3, 48, 48), 5, CLASSES)
    assert (model.num_nodes, model.num_threads) == (len(model.graph.nodes), 1)
    assert 0 <= model.num_copies < model.num_nodes
    assert model.graph.num_bytes() < len(model.to_bytes())
    assert model.memory_bytes > model.graph.num_bytes()
    logits = model.graph.tensors[model.graph.output].codes
    assert (model.scale, model.zero_point) == (logits.scale, logits.zero_point)
    size = len(model.to_bytes())
    nodes = model.num_nodes
    assert repr(model) == (
        f"IntegerModel(input_size=(3, 48, 48), num_logits=5, num_nodes={nodes}, num_bytes={size})"
    )


def test_logits_are_what_their_codes_stand_for():
    model = integer_model()
    codes, logits = model.codes(NOISE), model(NOISE)
    assert (codes.dtype, logits.dtype) == (torch.int32, torch.float32)
    expected = np.float32((codes.numpy().astype(np.float64) - model.zero_point) * model.scale)
    assert np.array_equal(logits.numpy(), expected)


def test_images_in_any_layout():
    model = integer_model()
    expected = model.codes(NOISE)
    rows_last = NOISE.permute(0, 2, 3, 1).contiguous()
    for images in (
        NOISE.numpy(),
        rows_last.permute(0, 3, 1, 2),
        rows_last.numpy().transpose(0, 3, 1, 2),
    ):
        assert torch.equal(model.codes(images), expected)
    assert torch.equal(model.codes(NOISE[::2]), expected[::2])
    assert model(NOISE[:0]).shape == (0, 5)


def test_its_data_config_makes_its_images():
    model = integer_model()
    source = PHOTOGRAPHS._source
    again = hq.ImageData(source, model.data_config, None, None, "")
    (found, _), (expected, _) = next(again.byte_batches(8)), next(PHOTOGRAPHS.byte_batches(8))
    assert torch.equal(found, expected)


def test_a_border_needs_the_float_model():
    torch.manual_seed(0)
    config = hq.DataConfig((3, 48, 48), crop_mode="border", mean=CONFIG.mean, std=CONFIG.std)
    graph = hq.quantize(Hybrid(FUNCTIONS["norms"]).eval(), PHOTOGRAPHS, RECIPE)
    model = hq.to_integer(graph, config)
    assert model.classes == ()
    with pytest.raises(ValueError, match=r"crop_mode must be center or squash, got border; use"):
        _ = model.data_config


def test_predict_gives_it_bytes():
    model = integer_model()
    found = hq.predict(model, PHOTOGRAPHS, batch_size=3)
    bytes_ = torch.cat([x for x, _ in PHOTOGRAPHS.byte_batches(3)])
    assert torch.equal(found.logits, model(bytes_))
    scripted = hq.predict(torch.jit.script(model.to_module()), PHOTOGRAPHS)
    assert torch.equal(scripted.logits, found.logits)


@pytest.mark.parametrize("num_threads", [1, 2])
def test_copies_and_pickles_are_models_of_their_own(num_threads):
    model = hq.IntegerModel(integer_model().to_bytes(), num_threads)
    expected = model.codes(NOISE)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.num_threads == num_threads
        assert torch.equal(other.codes(NOISE), expected)


@pytest.mark.parametrize("num_threads", [1, 2])
def test_threads_share_a_model(num_threads):
    model = hq.IntegerModel(integer_model().to_bytes(), num_threads)
    expected = model.codes(NOISE)
    with ThreadPoolExecutor(4) as pool:
        for i, codes in enumerate(pool.map(model.codes, NOISE.repeat(3, 1, 1, 1).split(1))):
            assert torch.equal(codes, expected[i % 8, None])


def _codes_of_child(model, queue):
    queue.put(model.codes(NOISE).tolist())
    del model  # must not wait for threads that stayed in the parent


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("num_threads", [1, 2])
def test_a_forked_process_runs_it(num_threads):
    model = hq.IntegerModel(integer_model().to_bytes(), num_threads)
    expected = model.codes(NOISE)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_codes_of_child, args=(model, queue))
    child.start()
    assert queue.get(timeout=60) == expected.tolist()
    child.join(60)
    assert child.exitcode == 0
    assert torch.equal(model.codes(NOISE), expected)


BAD_IMAGES = {
    "floats": (
        NOISE.float(),
        TypeError,
        "must be uint8, as ImageData.byte_batches gives them, got torch.float32",
    ),
    "array": (
        NOISE.numpy() / 255,
        TypeError,
        "must be uint8, as ImageData.byte_batches gives them, got float64",
    ),
    "list": ([1], TypeError, "must be a tensor or an array, got list"),
    "one": (NOISE[0], ValueError, "must have shape [images, 3, 48, 48], got [3, 48, 48]"),
    "size": (NOISE[..., :8], ValueError, "must have shape [images, 3, 48, 48], got [8, 3, 48, 8]"),
    "device": (NOISE.to("meta"), ValueError, "must be on the CPU, got meta; call images.cpu()"),
}


@pytest.mark.parametrize(("images", "error", "text"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_bad_images_are_named(images, error, text):
    model = integer_model()
    for function in (model, model.codes, model.trace):
        with pytest.raises(error, match=f"^{re.escape(f'IntegerModel: images {text}')}$"):
            function(images)


def test_a_trace_is_of_one_image():
    for count in (0, 2):
        with pytest.raises(ValueError, match=f"image must be one image, got {count}"):
            integer_model().trace(NOISE[:count])


BAD_ARGUMENTS = {
    "text": ("model.hq.safetensors", 1, TypeError, "file must be bytes, got str"),
    "empty": (b"", 1, ValueError, "must be at least 8 bytes long, got 0"),
    "no threads": (b"", 0, ValueError, "num_threads must be 1 to 1024, got 0"),
    "threads": (b"", 1025, ValueError, "num_threads must be 1 to 1024, got 1025"),
    "half": (b"", 1.5, TypeError, r"num_threads must be an integer, got 1\.5"),
}


@pytest.mark.parametrize(
    ("file", "threads", "error", "text"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS
)
def test_bad_arguments_are_named(file, threads, error, text):
    with pytest.raises(error, match=text):
        hq.IntegerModel(file, threads)


def test_bad_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError):
        hq.IntegerModel.load(tmp_path / "m")
    (tmp_path / "m").write_bytes(integer_model().to_bytes()[:-1])
    with pytest.raises(ValueError, match=r"IntegerModel.load: .*/m: tensor .* must be .*got"):
        hq.IntegerModel.load(tmp_path / "m")
    for save in (
        integer_model().save,
        integer_model().save_torchscript,
        integer_model().save_exported,
    ):
        with pytest.raises(
            FileNotFoundError, match=rf"IntegerModel.{save.__name__}: path must be a file"
        ):
            save(tmp_path / "no" / "folder")


def test_what_is_float_is_listed():
    graph = hq.quantize(Hybrid(FUNCTIONS["norms"]).eval(), PHOTOGRAPHS, "baseline/w8a8-minmax")
    with pytest.raises(NotImplementedError, match="every operator must become integer") as caught:
        hq.to_integer(graph, CONFIG)
    assert "sigmoid" in str(caught.value)
    assert "group_norm" in str(caught.value)
