"""Writes small images, and what hybridquant.data makes of them, for image_file_test.cpp.

Usage: make_images.py

Everything goes to the folder images beside this file: the images, expected.bin with what becomes of
them, case by case, uint8 [3, height, width], and manifest.txt with the cases and the hashes.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hybridquant.data import DataConfig, load_data

FOLDER = Path(__file__).parent / "images"
SEED = 0
GRAY, RGB, PALETTE, GRAY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
SAMPLES = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGB_ALPHA: 4}
# First row, first column, and steps from one to the next, of each pass.
ADAM7 = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)


@dataclass(frozen=True)
class Case:
    """An image and what is made of it."""

    image: str
    interpolation: str
    crop_pct: float
    crop_mode: str
    height: int
    width: int

    def __str__(self) -> str:
        return (
            f"{self.image} {self.interpolation} {self.crop_pct} {self.crop_mode} "
            f"{self.height} {self.width}"
        )

    def expected(self, folder: Path) -> bytes:
        """Return the bytes that the model's input is made of."""
        config = DataConfig(
            input_size=(3, self.height, self.width),
            interpolation=self.interpolation,
            crop_pct=self.crop_pct,
            crop_mode=self.crop_mode,
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
        )
        data = load_data(folder, config)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Palette images with Transparency")
            position = data.names.index(self.image)
            image, _ = next(islice(data.batches(1), position, None))
        return (image * 255).round().byte().numpy().tobytes()


# Every form of file is read at its own size; these are resized.
RESIZED = (
    Case("photo.jpg", "bilinear", 0.875, "center", 24, 24),
    Case("photo.jpg", "bicubic", 0.95, "center", 24, 24),
    Case("photo.jpg", "bilinear", 0.8, "center", 20, 12),
    Case("photo.jpg", "bicubic", 0.8, "center", 12, 20),
    Case("photo.jpg", "bilinear", 0.9, "squash", 13, 11),
    Case("photo.jpg", "bicubic", 1.0, "squash", 11, 24),
    # The height loses more than twice what the width does.
    Case("tall.jpg", "bilinear", 0.875, "center", 12, 12),
    Case("tall.jpg", "bicubic", 1.0, "center", 10, 10),
    Case("tall.jpg", "bilinear", 1.0, "squash", 10, 30),
    Case("tall.jpg", "bicubic", 0.9, "squash", 20, 9),
    # Black and white: what bicubic weights overshoot is clamped.
    Case("noise.png", "bicubic", 1.0, "squash", 24, 20),
    Case("noise.png", "bilinear", 1.0, "squash", 24, 20),
    Case("noise.png", "bicubic", 1.0, "squash", 5, 4),
    # 3 or 1 pixels too many: half of them is rounded to even.
    Case("noise.png", "bicubic", 0.7, "center", 9, 9),
    Case("noise.png", "bilinear", 0.9, "center", 11, 11),
    Case("large.png", "bilinear", 0.875, "center", 5, 5),
    Case("large.png", "bicubic", 1.0, "squash", 4, 6),
    Case("large.png", "bilinear", 1.0, "squash", 1, 1),
    Case("pixel.png", "bicubic", 1.0, "squash", 3, 5),
    Case("pixel.png", "bilinear", 0.5, "center", 4, 4),
    Case("row.png", "bicubic", 1.0, "center", 4, 4),
    Case("row.png", "bilinear", 0.9, "squash", 4, 4),
    Case("column.png", "bicubic", 1.0, "center", 4, 4),
    Case("column.png", "bilinear", 0.9, "squash", 4, 4),
)


def chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def rows(samples: NDArray[Any], depth: int) -> bytes:
    """Return unfiltered rows of samples [height, width, samples a pixel]."""
    flat = samples.reshape(len(samples), -1).astype(">u2")
    bits = np.unpackbits(flat.view(np.uint8).reshape(*flat.shape, 2), axis=2)[..., 16 - depth :]
    packed = np.packbits(bits.reshape(len(flat), -1), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in packed)


def png(
    samples: NDArray[Any],
    depth: int,
    color: int,
    *,
    is_interlaced: bool = False,
    extra: bytes = b"",
) -> bytes:
    """Return a PNG file; Pillow writes neither all depths nor interlaced files."""
    height, width, _ = samples.shape
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(is_interlaced))
    parts = [samples]
    if is_interlaced:
        parts = [samples[top::down, left::right] for top, left, down, right in ADAM7]
    data = b"".join(rows(part, depth) for part in parts if part.size)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return a file as Pillow writes it."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def photograph(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    """Return smooth colours with a little noise."""
    coarse = Image.fromarray(rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    noisy = smooth + rng.integers(-12, 13, smooth.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def png_images(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Yield a file of each kind of pixel, and of each thing that is passed over."""

    def samples(depth: int, color: int, height: int = 7, width: int = 9) -> NDArray[Any]:
        return rng.integers(0, 1 << depth, (height, width, SAMPLES[color]))

    for depth in (1, 2, 4, 8):
        yield f"gray{depth}.png", png(samples(depth, GRAY), depth, GRAY)
    # Levels above 255 become 255: half of these are.
    yield "gray16.png", png(rng.integers(0, 512, (7, 9, 1)), 16, GRAY)
    yield "gray16_interlaced.png", png(samples(8, GRAY), 16, GRAY, is_interlaced=True)
    for depth in (8, 16):
        yield f"rgb{depth}.png", png(samples(depth, RGB), depth, RGB)
        yield f"gray_alpha{depth}.png", png(samples(depth, GRAY_ALPHA), depth, GRAY_ALPHA)
        yield f"rgb_alpha{depth}.png", png(samples(depth, RGB_ALPHA), depth, RGB_ALPHA)
    yield "rgb_interlaced.png", png(samples(8, RGB), 8, RGB, is_interlaced=True)
    passed_over = chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"tRNS", bytes(6))
    yield "rgb_gamma.png", png(samples(1, RGB), 8, RGB, extra=passed_over)
    yield "rgb_filtered.png", saved(photograph(rng, 24, 16), "PNG")
    for depth in (1, 2, 4, 8):
        colors = chunk(b"PLTE", rng.bytes(3 << depth))
        yield f"palette{depth}.png", png(samples(depth, PALETTE), depth, PALETTE, extra=colors)
    # Some pixels are of no color of the palette: they are black.
    colors = chunk(b"PLTE", rng.bytes(30)) + chunk(b"tRNS", rng.bytes(5))
    yield "palette_short.png", png(samples(4, PALETTE), 4, PALETTE, extra=colors)
    yield "noise.png", png(255 * samples(1, RGB, 14, 11), 8, RGB)
    yield "large.png", png(np.tile(samples(1, GRAY, 25, 37), (10, 9, 1)), 1, GRAY)
    yield "pixel.png", png(samples(8, RGB, 1, 1), 8, RGB)
    yield "row.png", png(samples(8, RGB, 1, 9), 8, RGB)
    yield "column.png", png(samples(8, RGB, 9, 1), 8, RGB)


def jpeg_images(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Yield a file of each color space and subsampling."""
    photo = photograph(rng, 19, 21)
    turned = Image.Exif()
    turned[0x0112] = 6
    yield "ycc420.jpg", saved(photo, "JPEG", subsampling="4:2:0")
    yield "ycc422_restarts.jpg", saved(photo, "JPEG", subsampling="4:2:2", restart_marker_blocks=2)
    yield "ycc444_progressive.jpg", saved(photo, "JPEG", subsampling="4:4:4", progressive=True)
    yield "ycc_turned.jpg", saved(photo, "JPEG", exif=turned.tobytes())
    yield "rgb.jpg", saved(photo, "JPEG", keep_rgb=True)
    yield "gray.jpg", saved(photo.getchannel(0), "JPEG")
    black = photo.getchannel(0).point([level // 2 for level in range(256)])
    cmyk = saved(Image.merge("CMYK", [*photo.split(), black]), "JPEG")
    yield "cmyk.jpg", cmyk
    # Adobe's marker ends with the color transform: 2 says that the first three are YCC.
    transform = cmyk.index(b"Adobe") + 11
    yield "ycck.jpg", cmyk[:transform] + b"\2" + cmyk[transform + 1 :]
    yield "photo.jpg", saved(photograph(rng, 48, 64), "JPEG")
    yield "tall.jpg", saved(photograph(rng, 90, 20), "JPEG")


def cases(images: dict[str, bytes]) -> list[Case]:
    """Return a case for each form of file, then those that are resized."""
    found = []
    for name in sorted(set(images) - {case.image for case in RESIZED}):
        width, height = Image.open(io.BytesIO(images[name])).size
        found.append(Case(name, "bilinear", 1.0, "squash", height, width))
    return [*found, *RESIZED]


def main() -> None:
    rng = np.random.default_rng(SEED)
    images = {**dict(png_images(rng)), **dict(jpeg_images(rng))}
    FOLDER.mkdir(exist_ok=True)
    for name, content in images.items():
        (FOLDER / name).write_bytes(content)
    expected = b"".join(case.expected(FOLDER) for case in cases(images))
    (FOLDER / "expected.bin").write_bytes(expected)
    versions = ", ".join(f"{name} {version(name)}" for name in ("pillow", "timm", "torchvision"))
    lines = [
        f"# Written by tests/golden/make_images.py, seed {SEED}, with {versions}.",
        "# case: image, interpolation, crop_pct, crop_mode, height, width; as in expected.bin",
        "# file: name, sha256",
        *(f"case {case}" for case in cases(images)),
        *(
            f"file {name} {hashlib.sha256(content).hexdigest()}"
            for name, content in [*sorted(images.items()), ("expected.bin", expected)]
        ),
    ]
    (FOLDER / "manifest.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
