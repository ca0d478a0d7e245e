"""The labelled sample in tests/data is the one that its README describes."""

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from hybridquant.data import load_data
from hybridquant.models import default_model_name, load_model

FOLDER = Path(__file__).parents[2] / "data"


@pytest.mark.parametrize(
    ("name", "images", "a_class"),
    [("imagenette_calib.tar", 128, {12, 13}), ("imagenette_val.tar", 400, {40})],
)
def test_sample_is_balanced_and_as_described(name: str, images: int, a_class: set[int]) -> None:
    content = (FOLDER / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() in (FOLDER / "README.md").read_text()
    model = load_model(default_model_name())
    found = load_data(FOLDER / name, model.data_config, classes=model.classes)
    x, _ = next(found.batches(8))
    assert (found.num_images, tuple(x.shape)) == (images, (8, 3, 128, 128))
    counts = Counter(name.split("/")[1] for name in found.names)
    assert set(counts) == set(model.classes or ())
    assert set(counts.values()) == a_class


def test_sample_is_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.tar")) <= 6_000_000
