"""Streaming, preprocessing and damaged images."""

import hashlib
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hybridquant.data import DataConfig, ImageData
from hybridquant.data.source import Item, Source

Encode = Callable[..., bytes]


def data(items: Sequence[Item], config: DataConfig, labels: list[int] | None = None) -> ImageData:
    source = Source([f"image {i}" for i in range(len(items))], labels, items.__getitem__)
    return ImageData(source, config, labels, None, "the list")


def test_batches_stream_in_order(encode: Encode, plain: DataConfig) -> None:
    read: list[int] = []
    images = [encode(51 * i) for i in range(5)]

    def reader(position: int) -> bytes:
        read.append(position)
        return images[position]

    found = ImageData(Source([""] * 5, None, reader), plain, [3, 1, 4, 1, 5], None, "")
    batches = found.batches(2)
    x, y = next(batches)
    assert read == [0, 1]
    assert (x.shape, x.dtype, y.dtype) == ((2, 3, 8, 8), torch.float32, torch.int64)
    rest = list(batches)
    assert torch.cat([y, *(labels for _, labels in rest)]).tolist() == [3, 1, 4, 1, 5]
    values = torch.cat([x, *(images for images, _ in rest)])[:, 0, 0, 0]
    torch.testing.assert_close(values, torch.arange(5) * 0.2)
    assert [len(labels) for _, labels in found.batches(2)] == [2, 2, 1]


def test_without_labels_batches_hold_minus_one(encode: Encode, plain: DataConfig) -> None:
    found = data([encode()], plain)
    assert not found.has_labels
    assert next(found.batches(1))[1].tolist() == [-1]


# A picture 16 wide and 8 high, made 8 x 8: center cuts the sides off, border adds black rows.
@pytest.mark.parametrize(
    ("crop_mode", "rows"),
    [
        ("center", [[0, 0, 0, 0, 1, 1, 1, 1]] * 8),
        ("squash", [[1, 0, 0, 0, 1, 1, 1, 1]] * 8),
        ("border", [[0] * 8] * 2 + [[1, 0, 0, 0, 1, 1, 1, 1]] * 4 + [[0] * 8] * 2),
    ],
)
def test_crop_modes(crop_mode: str, rows: list[list[float]]) -> None:
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :2] = pixels[:, 8:] = 255
    config = DataConfig((3, 8, 8), "nearest", 1.0, crop_mode, (0.0,) * 3, (1.0,) * 3)
    assert next(data([pixels], config).batches(1))[0][0, 0].tolist() == rows


def test_equals_the_formula_written_out(encode: Encode) -> None:
    config = DataConfig(input_size=(3, 32, 32), crop_pct=0.8, interpolation="bicubic")
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (60, 50, 3), np.uint8))
    # 32 / 0.8 = 40 on the short edge, then the central 32 x 32.
    resized = picture.resize((40, 48), Image.Resampling.BICUBIC).crop((4, 8, 36, 40))
    x = torch.from_numpy(np.array(resized)).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (config.mean, config.std))
    image = next(data([np.array(picture)], config).batches(1))[0][0]
    torch.testing.assert_close(image, (x - mean) / std)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "1"])
def test_any_colour_mode_becomes_rgb(tmp_path: Path, plain: DataConfig, mode: str) -> None:
    suffix = "jpg" if mode == "CMYK" else "png"
    Image.new(mode, (8, 8)).save(tmp_path / f"x.{suffix}")
    found = data([(tmp_path / f"x.{suffix}").read_bytes()], plain)
    assert next(found.batches(1))[0].shape == (1, 3, 8, 8)


def test_preprocessed_floats_pass_as_they_are(plain: DataConfig) -> None:
    x = np.linspace(-3, 3, 3 * 8 * 8, dtype=np.float32).reshape(3, 8, 8)
    assert torch.equal(next(data([x], plain).batches(1))[0][0], torch.from_numpy(x))


def test_preprocessed_floats_of_another_size_are_refused(plain: DataConfig) -> None:
    found = data([np.zeros((3, 9, 8), np.float32)], plain)
    with pytest.raises(ValueError, match=r"\[3, 8, 8\] for this model, got \[3, 9, 8\] in image 0"):
        next(found.batches(1))


@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_damaged_image_is_named(encode: Encode, plain: DataConfig, damage: str) -> None:
    whole = encode(90, (64, 64), "JPEG")
    broken = {"cut": whole[: len(whole) // 2], "text": b"<html>", "empty": b""}[damage]
    found = data([whole, broken], plain)
    with pytest.raises(ValueError, match="must be a whole image file, got image 1 of the list"):
        list(found.batches(1))


def test_damage_reads_the_same_every_time(plain: DataConfig) -> None:
    with pytest.raises(ValueError, match="of no format known to Pillow") as error:
        next(data([b"<html>"], plain).batches(1))
    assert "0x" not in str(error.value)


def test_unreadable_image_is_named(plain: DataConfig, tmp_path: Path) -> None:
    source = Source(["gone.png"], None, lambda _: (tmp_path / "gone.png").read_bytes())
    found = ImageData(source, plain, None, None, "the folder")
    with pytest.raises(OSError, match=r"must be readable, got gone.png of the folder"):
        next(found.batches(1))


@pytest.mark.parametrize("batch_size", [0, -1])
@pytest.mark.parametrize("function", ["batches", "byte_batches"])
def test_batch_size_is_checked_at_once(
    encode: Encode, plain: DataConfig, function: str, batch_size: int
) -> None:
    text = f"{function}: batch_size must be at least 1, got {batch_size}"
    with pytest.raises(ValueError, match=text):
        getattr(data([encode()], plain), function)(batch_size)


def every_byte(config: DataConfig) -> ImageData:
    pixels = np.arange(768, dtype=np.uint8).reshape(16, 16, 3)
    return data([pixels, pixels[::-1].copy(), pixels[:, ::-1].copy()], config, [2, 0, 1])


@pytest.mark.parametrize("crop_mode", ["squash", "border"])
def test_bytes_are_the_images_before_normalisation(crop_mode: str) -> None:
    found = every_byte(DataConfig((3, 16, 16), crop_pct=1.0, crop_mode=crop_mode))
    batches = zip(found.byte_batches(2), found.batches(2), strict=True)
    mean, std = (torch.tensor(v)[:, None, None] for v in (found.config.mean, found.config.std))
    for (bytes_, labels), (x, same) in batches:
        assert bytes_.dtype == torch.uint8
        assert len(bytes_.unique()) == 256
        assert torch.equal((bytes_ / 255 - mean) / std, x)
        assert torch.equal(labels, same)


def test_preprocessed_floats_are_bytes_again() -> None:
    photographs = every_byte(DataConfig((3, 16, 16), crop_pct=1.0))
    (x, _), (bytes_, _) = (
        next(each) for each in (photographs.batches(3), photographs.byte_batches(3))
    )
    floats = data(list(x.numpy()), photographs.config)
    assert torch.equal(next(floats.byte_batches(3))[0], bytes_)
    other = data(list(x.numpy()), DataConfig((3, 16, 16), crop_pct=1.0, std=(0.2, 0.2, 0.2)))
    text = r"must be made from bytes with the model's mean and std, got values up to 0\.5.* image 0"
    with pytest.raises(ValueError, match=text):
        next(other.byte_batches(3))


def test_sha256_is_that_of_labels_sizes_and_bytes(encode: Encode, plain: DataConfig) -> None:
    images = [encode(1), encode(2)]
    expected = hashlib.sha256()
    for label, image in zip([5, 6], images, strict=True):
        expected.update(struct.pack("<qQ", label, len(image)) + image)
    assert data(images, plain, [5, 6]).sha256 == expected.hexdigest()


def test_sha256_sees_bytes_labels_and_order(encode: Encode, plain: DataConfig) -> None:
    a, b = encode(1), encode(2)
    sets: list[tuple[list[Any], list[int] | None]] = [
        ([a, b], [0, 1]),
        ([b, a], [0, 1]),
        ([a, b], [1, 0]),
        ([a, b], None),
        ([a, encode(3)], [0, 1]),
    ]
    hashes = {data(images, plain, labels).sha256 for images, labels in sets}
    assert len(hashes) == len(sets)
