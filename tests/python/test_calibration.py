"""Every form of calibration images a user may have."""

from collections.abc import Iterator

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from hybridquant.calibration import Calibration
from hybridquant.progress import track

IMAGES = torch.arange(5 * 3 * 4 * 4, dtype=torch.float32).reshape(5, 3, 4, 4)
LABELS = torch.arange(5)

SOURCES = {
    "tensor": IMAGES,
    "list": list(IMAGES.split(2)),
    "list-with-labels": list(zip(IMAGES.split(2), LABELS.split(2), strict=True)),
    "loader": DataLoader(TensorDataset(IMAGES, LABELS), batch_size=2),
}

BAD = [
    ((x for x in [IMAGES]), TypeError, "iterable more than once, got generator"),
    (7, TypeError, "a tensor, ImageData, or an iterable of image batches, got int"),
    ([], ValueError, "at least one batch, got none"),
    (IMAGES[:0], ValueError, "at least one batch, got none"),
    ([IMAGES.to(torch.uint8)], TypeError, "float tensors, got torch.uint8"),
    (["photo.jpg"], TypeError, "float tensors, got str"),
    ([IMAGES[0]], ValueError, r"got shape \[3, 4, 4\]"),
]


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_every_source_gives_the_same_images_twice(source: object) -> None:
    calibration = Calibration(source, batch_size=2)
    for _ in range(2):
        assert torch.equal(torch.cat(list(calibration)), IMAGES)
    assert torch.equal(calibration.first(), IMAGES[:2])
    assert len(calibration) == len(list(calibration)) == 3


def test_images_count_where_the_source_has_images() -> None:
    class Images:
        def __len__(self) -> int:
            return len(IMAGES)

        def batches(self, batch_size: int) -> Iterator[tuple[torch.Tensor, ...]]:
            return zip(IMAGES.split(batch_size), LABELS.split(batch_size), strict=True)

    calibration = Calibration(Images(), batch_size=2)
    assert len(calibration) == len(list(calibration)) == 3


def test_a_source_may_not_know_its_length() -> None:
    class Unsized:
        def __iter__(self) -> Iterator[torch.Tensor]:
            return iter(IMAGES.split(2))

    calibration = Calibration(Unsized())
    assert len(list(calibration)) == 3
    assert track(calibration, "calibrate").total is None
    with pytest.raises(TypeError, match="has no len"):
        len(calibration)


@pytest.mark.parametrize(("source", "error", "text"), BAD)
def test_bad_sources_say_what_is_wrong(source: object, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        list(Calibration(source))


def test_batch_size_must_be_positive() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        Calibration(IMAGES, batch_size=0)


@pytest.mark.parametrize("size", [2.5, None, "8"])
def test_batch_size_must_be_an_integer(size: object) -> None:
    with pytest.raises(
        TypeError, match=f"Calibration: batch_size must be an integer, got {size!r}"
    ):
        Calibration(IMAGES, batch_size=size)  # type: ignore[arg-type]
