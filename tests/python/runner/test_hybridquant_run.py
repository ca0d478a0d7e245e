"""hybridquant-run prints the codes that the Python package computes, and says what is wrong."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_model import CLASSES, MEAN, STD, Small

import hybridquant as hq
from hybridquant import _C
from hybridquant.data import DataConfig
from hybridquant.export import save_integer_model
from hybridquant.lower import Codes, IntGraph, IntNode, IntTensor

GOLDEN = Path(__file__).parents[2] / "golden" / "images"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(build: Path) -> Run:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(build / "hybridquant-run"), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(params=["raw", "png"])
def files(request: pytest.FixtureRequest, small: Small, tmp_path: Path) -> list[Path]:
    """Return the images as files, of their bytes or PNG files of their size."""
    paths = [tmp_path / f"image {i}.{request.param}" for i in range(len(small.images))]
    for path, image in zip(paths, small.images, strict=True):
        if request.param == "raw":
            path.write_bytes(image.tobytes())
        else:
            Image.fromarray(image.transpose(1, 2, 0)).save(path)
    return paths


def documents(run: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_codes_are_those_of_the_package(
    threads: int, run: Run, small: Small, files: list[Path]
) -> None:
    more = ["--raw"] if files[0].suffix == ".raw" else []
    found = documents(run("--json", "--threads", threads, *more, small.path, *files))
    assert [result["image"] for result in found] == [str(path) for path in files]
    assert [result["codes"] for result in found] == small.codes.tolist()
    assert len(np.unique(small.codes, axis=0)) == len(files)


def test_a_photograph_is_resized_as_in_the_package(run: Run, small: Small, tmp_path: Path) -> None:
    folder = tmp_path / "photographs" / "one"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    Image.fromarray(generator.integers(0, 256, (40, 57, 3), np.uint8)).save(folder / "a.png")
    (folder / "b.jpg").write_bytes((GOLDEN / "photo.jpg").read_bytes())
    path = small.save("cut.hq.safetensors", crop_pct=0.8)
    config = DataConfig((3, 16, 16), "bicubic", 0.8, "center", MEAN, STD)
    data = hq.load_data(folder.parent, config)
    images = next(iter(data.byte_batches(2)))[0].numpy()
    found = documents(run("--json", path, folder / "a.png", folder / "b.jpg"))
    expected = _C.Session(_C.Model.load(str(path))).run(images)
    assert [result["codes"] for result in found] == expected.tolist()


@pytest.mark.parametrize("count", [0, 2, 5, 9])
def test_the_top_classes_are_the_largest_logits(
    count: int, run: Run, small: Small, tmp_path: Path
) -> None:
    (tmp_path / "image").write_bytes(small.images[0].tobytes())
    (found,) = documents(run("--json", "--raw", f"--top={count}", small.path, tmp_path / "image"))
    codes, info = small.codes[0], small.model.describe()
    scale, zero_point = info["logit_scale"], info["logit_zero_point"]
    assert (found["scale"], found["zero_point"]) == (scale, zero_point)
    places = np.argsort(-codes, kind="stable")[:count].tolist()
    assert found["top"] == [
        {
            "index": place,
            "class": CLASSES[place],
            "code": codes[place],
            "logit": pytest.approx(scale * (codes[place] - zero_point), rel=1e-12),
        }
        for place in places
    ]


def test_what_people_read(run: Run, small: Small, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(small.images[0].tobytes())
    found = run("--raw", "--codes", "--top", 1, "--time", 3, small.path, tmp_path / "image")
    place, scale = int(small.codes[0].argmax()), small.model.describe()["logit_scale"]
    name, top, codes, times = found.stdout.splitlines()
    assert name == str(tmp_path / "image")
    assert top.split(maxsplit=2)[::2] == [str(place), CLASSES[place]]
    assert float(top.split()[1]) == pytest.approx(scale * small.codes[0, place], rel=1e-5)
    assert codes.split() == ["codes", *map(str, small.codes[0])]
    assert times.split()[:3] == ["3", "runs,", "min"]


def test_info_is_what_the_package_says(run: Run, small: Small) -> None:
    (found,) = documents(run("--info", "--json", "--threads", 2, small.path))
    session = _C.Session(small.model, 2)
    assert found.pop("session_bytes") == session.memory_bytes
    assert found.pop("isa") == hq.build_info()["isa"]
    expected = small.model.describe()
    assert {key: expected[key] for key in found} == found
    text = run("--info", small.path).stdout
    assert f"nodes              {found['nodes']}\n" in text
    assert f"weights and tables {found['constant_bytes']} bytes\n" in text


def test_times_and_memory(run: Run, small: Small, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(small.images[0].tobytes())
    arguments = ("--json", "--raw", "--time", 4, "--memory", small.path, tmp_path / "image")
    result, memory = documents(run(*arguments))
    assert result["milliseconds"]["runs"] == 4
    assert 0 < result["milliseconds"]["min"] <= result["milliseconds"]["median"]
    info = small.model.describe()
    assert memory["peak_process_bytes"] > info["constant_bytes"] + info["arena_bytes"]


def test_a_bad_image_does_not_stop_the_others(run: Run, small: Small, tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"12")
    (tmp_path / "good").write_bytes(small.images[1].tobytes())
    names = [tmp_path / name for name in ("short", "good", "none")]
    found = run("--raw", "--json", small.path, *names)
    assert found.returncode == 1
    assert json.loads(found.stdout)["codes"] == small.codes[1].tolist()
    assert found.stderr == (
        f"hybridquant-run: error: {names[0]}: must hold 3 x 16 x 16 bytes, got 2\n"
        f"hybridquant-run: error: {names[2]}: must be a file\n"
    )
    found = run(small.path, tmp_path / "good")
    assert (found.returncode, found.stdout) == (1, "")
    assert f"{tmp_path / 'good'}: is neither a JPEG nor a PNG file\n" in found.stderr


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "MODEL must be given"),
        (["model"], "at least one IMAGE must be given, or --info"),
        (["--threads"], "--threads must have a value, got none"),
        (["--threads", "0"], "--threads must be a whole number from 1 to 1024, got '0'"),
        (["--threads=two"], "--threads must be a whole number from 1 to 1024, got 'two'"),
        (["--top", "-1"], "--top must be a whole number from 0 to 1000000, got '-1'"),
        (["--time=1.5"], "--time must be a whole number from 1 to 1000000, got '1.5'"),
        (["--json=yes"], "--json must have no value, got 'yes'"),
        (["--thread", "2"], "options must be those of the help, got --thread"),
    ],
)
def test_wrong_arguments(arguments: list[str], error: str, run: Run) -> None:
    found = run(*arguments)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == f"hybridquant-run: error: {error}; see hybridquant-run --help\n"


def test_a_bad_model(run: Run, small: Small, tmp_path: Path) -> None:
    (tmp_path / "cut").write_bytes(small.path.read_bytes()[:-1])
    (tmp_path / "folder").mkdir()
    for name, error in (
        ("none", "cannot be opened"),
        ("cut", "tensor 'nodes."),
        ("folder", "must be a file, not a folder\n"),
        ("x" * 5000, "cannot be opened\n"),
    ):
        found = run("--info", tmp_path / name)
        assert (found.returncode, found.stdout) == (3, "")
        assert found.stderr.startswith(f"hybridquant-run: error: {tmp_path / name}: {error}")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"crop_mode": "border"}, "crop_mode must be center or squash, got 'border'"),
        ({"interpolation": "lanczos"}, "interpolation must be bicubic or bilinear, got 'lanczos'"),
    ],
)
def test_preprocessing_that_is_not_supported(
    fields: dict[str, str], error: str, run: Run, small: Small, tmp_path: Path
) -> None:
    path = small.save("other.hq.safetensors", **fields)
    found = run(path, GOLDEN / "photo.jpg")
    assert (found.returncode, found.stdout) == (3, "")
    assert found.stderr.startswith(f"hybridquant-run: error: {path}: must take photographs")
    assert error in found.stderr
    assert "--raw" in found.stderr
    (tmp_path / "image").write_bytes(small.images[2].tobytes())
    (result,) = documents(run("--raw", "--json", path, tmp_path / "image"))
    assert result["codes"] == small.codes[2].tolist()


def test_a_model_of_other_channels_takes_bytes_only(run: Run, tmp_path: Path) -> None:
    codes = Codes("uint8", 0.5, 0, 0, 255)
    tensors = {
        "image": IntTensor("image", (1, 1, 2, 3), codes),
        "logits": IntTensor("logits", (1, 6), codes),
    }
    node = IntNode("reshape", ("image",), "logits", "", {"shape": [1, 6]}, {})
    path = tmp_path / "gray.hq.safetensors"
    config = DataConfig((1, 2, 3), mean=(0.0,), std=(1.0,))
    save_integer_model(IntGraph(tensors, [node], "image", "logits"), path, config)
    (tmp_path / "image").write_bytes(bytes([9, 200, 7, 255, 0, 200]))
    found = run(path, tmp_path / "image")
    assert found.returncode == 3
    assert "must have 3 channels, got 1" in found.stderr
    (result,) = documents(run("--raw", "--json", "--top=3", path, tmp_path / "image"))
    assert result["codes"] == [9, 200, 7, 255, 0, 200]
    assert [(top["index"], top["class"]) for top in result["top"]] == [
        (3, None),
        (1, None),
        (5, None),
    ]


def test_an_output_that_takes_nothing(build: Path, small: Small) -> None:
    with Path("/dev/full").open("w") as full:
        found = subprocess.run(
            [build / "hybridquant-run", "--info", small.path],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert found.returncode == 1
    assert "standard output must take the results" in found.stderr
