"""The C calls of the shared library: the package's codes, errors as texts, nothing else seen."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from ctypes import POINTER, c_char_p, c_double, c_int, c_int32, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from small_model import CLASSES, MEAN, STD, Small

import hybridquant as hq
from hybridquant import _C
from hybridquant.data import DataConfig

HEADER = Path(__file__).parents[3] / "csrc" / "runtime" / "hybridquant.h"
CALLS = {
    "hybridquant_api_version": (c_int32,),
    "hybridquant_version": (c_char_p,),
    "hybridquant_last_error": (c_char_p,),
    "hybridquant_model_load": (c_void_p, c_char_p),
    "hybridquant_model_parse": (c_void_p, c_char_p, c_size_t),
    "hybridquant_model_free": (None, c_void_p),
    "hybridquant_image_shape": (None, c_void_p, POINTER(c_int64)),
    "hybridquant_num_logits": (c_int64, c_void_p),
    "hybridquant_logit_scale": (c_double, c_void_p),
    "hybridquant_logit_zero_point": (c_int64, c_void_p),
    "hybridquant_num_classes": (c_int64, c_void_p),
    "hybridquant_class_name": (c_char_p, c_void_p, c_int64),
    "hybridquant_preprocess": (c_int, c_void_p, c_void_p, c_void_p, c_int64, c_int64),
    "hybridquant_session_new": (c_void_p, c_void_p, c_int64),
    "hybridquant_session_free": (None, c_void_p),
    "hybridquant_session_memory": (c_int64, c_void_p),
    "hybridquant_run": (c_int, c_void_p, c_void_p, c_void_p, c_int64),
}


@pytest.fixture(scope="module")
def library(build: Path) -> Path:
    return build / "libhybridquant_runtime.so"


@pytest.fixture(scope="module")
def call(library: Path) -> Callable[..., Any]:
    """Return a function that calls another by its name without "hybridquant_"."""
    functions = ctypes.CDLL(str(library))
    for name, (result, *arguments) in CALLS.items():
        getattr(functions, name).restype = result
        getattr(functions, name).argtypes = arguments
    return lambda name, *arguments: getattr(functions, f"hybridquant_{name}")(*arguments)


@pytest.fixture
def model(call: Callable[..., Any], small: Small) -> Iterator[int]:
    model = call("model_load", str(small.path).encode())
    assert model, call("last_error")
    yield model
    call("model_free", model)


def run(call: Callable[..., Any], session: int, images: NDArray[np.uint8]) -> NDArray[np.int32]:
    logits = np.full((len(images), len(CLASSES)), -1, np.int32)
    assert call("run", session, logits.ctypes.data, images.ctypes.data, len(images)) == 0
    return logits


def test_the_library_shows_the_calls_of_the_header_alone(library: Path) -> None:
    header = HEADER.read_text(encoding="utf-8")
    assert sorted(re.findall(r"^HYBRIDQUANT_API .*?(hybridquant_\w+)\(", header, re.M)) == sorted(
        CALLS
    )
    names = subprocess.run(
        ["nm", "-D", "--defined-only", "--format=posix", library],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    functions = [name.split("@")[0] for name, kind, *_ in map(str.split, names) if kind == "T"]
    assert sorted(functions) == sorted(CALLS)
    assert len(names) == len(CALLS) + 1  # the version


def test_versions(call: Callable[..., Any]) -> None:
    (version,) = re.findall(r"define HYBRIDQUANT_API_VERSION (\d+)", HEADER.read_text())
    assert call("api_version") == int(version)
    assert call("version").decode() == hq.build_info()["version"]


def test_the_header_is_c(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    assert compiler, "a C compiler must be installed"
    (tmp_path / "use.c").write_text('#include "hybridquant.h"\n', encoding="utf-8")
    strict = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]
    subprocess.run([compiler, *strict, f"-I{HEADER.parent}", tmp_path / "use.c"], check=True)


def test_what_a_model_says(call: Callable[..., Any], model: int, small: Small) -> None:
    info = small.model.describe()
    shape = (c_int64 * 3)()
    call("image_shape", model, shape)
    assert list(shape) == info["image_shape"]
    assert call("num_logits", model) == info["num_logits"]
    assert call("logit_scale", model) == info["logit_scale"]
    assert call("logit_zero_point", model) == info["logit_zero_point"]
    names = [call("class_name", model, place) for place in range(call("num_classes", model))]
    assert [name.decode() for name in names] == list(CLASSES)
    assert call("class_name", model, -1) is None
    assert call("class_name", model, len(CLASSES)) is None


@pytest.mark.parametrize("threads", [1, 2])
def test_the_codes_are_those_of_the_package(
    threads: int, call: Callable[..., Any], small: Small
) -> None:
    data = small.path.read_bytes()
    model = call("model_parse", data, len(data))
    session = call("session_new", model, threads)
    call("model_free", model)  # the session keeps what it needs
    assert call("session_memory", session) == _C.Session(small.model, threads).memory_bytes
    assert (run(call, session, small.images) == small.codes).all()
    assert (run(call, session, small.images[3:4]) == small.codes[3:4]).all()
    assert run(call, session, small.images[:0]).shape == (0, len(CLASSES))
    call("session_free", session)


def test_sessions_run_at_once(call: Callable[..., Any], model: int, small: Small) -> None:
    sessions = [call("session_new", model, 1) for _ in range(3)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda i: run(call, sessions[i % 3], small.images), range(30)))
    assert all((codes == small.codes).all() for codes in found)
    for session in sessions:
        call("session_free", session)


def test_photographs_become_images(call: Callable[..., Any], small: Small, tmp_path: Path) -> None:
    folder = tmp_path / "photographs" / "one"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 57, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    data = hq.load_data(folder.parent, DataConfig((3, 16, 16), "bicubic", 0.8, "center", MEAN, STD))
    expected = next(iter(data.byte_batches(1)))[0].numpy()
    model = call("model_load", str(small.save("crop.hq.safetensors", crop_pct=0.8)).encode())
    found = np.zeros_like(expected)
    assert call("preprocess", model, found.ctypes.data, pixels.ctypes.data, 40, 57) == 0
    assert (found == expected).all()
    call("model_free", model)


def test_errors_are_texts(call: Callable[..., Any], model: int, small: Small) -> None:
    def error() -> str:
        text = call("last_error")
        assert isinstance(text, bytes)
        return text.decode()

    assert call("model_load", b"/none") is None
    assert error() == "/none: cannot be opened"
    assert call("model_load", None) is None
    assert error() == "hybridquant_model_load: path must not be NULL"
    assert call("model_parse", None, 3) is None
    assert error() == "hybridquant_model_parse: file must not be NULL"
    assert call("model_parse", b"abc", 3) is None
    assert error() == "model file: must be at least 8 bytes long, got 3"
    assert call("session_new", None, 1) is None
    assert error() == "hybridquant_session_new: model must not be NULL"
    for threads in (0, -1, 1025):
        assert call("session_new", model, threads) is None
        assert error() == f"hybridquant_session_new: num_threads must be 1 to 1024, got {threads}"
    session = call("session_new", model, 1)
    assert call("run", session, None, None, -1) == -1
    assert error() == "hybridquant_run: count must be at least 0, got -1"
    call("session_free", session)
    for size in ((0, 3), (3, 2**31)):
        assert call("preprocess", model, None, None, *size) == -1
        assert error().startswith("hybridquant_preprocess: height and width must be 1 to 2^31 - 1")
    other = call(
        "model_load", str(small.save("border.hq.safetensors", crop_mode="border")).encode()
    )
    assert call("preprocess", other, bytes(768), bytes(3), 1, 1) == -1
    assert error() == "preprocess: crop_mode must be center or squash, got 'border'"
    call("model_free", other)
    with ThreadPoolExecutor(1) as pool:  # another thread has failed at nothing yet
        assert pool.submit(call, "last_error").result() == b""
    for name in ("model_free", "session_free"):
        call(name, None)
