"""Make the labelled sample in tests/data from the Imagenette2 archives.

    python scripts/make_sample.py FOLDER

FOLDER holds imagenette_train.tar and imagenette_val.tar. The images are copied byte for byte, and
the same archives and seed give the same files on every machine.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import tarfile
from pathlib import Path

from hybridquant.data.drawing import draw
from hybridquant.data.source import Source
from hybridquant.data.tar_source import open_tar

SAMPLES = {
    "imagenette_calib.tar": ("imagenette_train.tar", 128),
    "imagenette_val.tar": ("imagenette_val.tar", 400),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the two archives lie")
    parser.add_argument("--out", type=Path, default=Path("tests/data"), help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the draw; default %(default)s")
    args = parser.parse_args()
    for name, (archive, num_images) in SAMPLES.items():
        content = make_sample(open_tar(args.folder / archive), num_images, args.seed)
        (args.out / name).write_bytes(content)
        print(f"{hashlib.sha256(content).hexdigest()}  {name}  {len(content)} bytes")


def make_sample(source: Source, num_images: int, seed: int) -> bytes:
    """Return a tar of ``num_images`` images of ``source``, class-balanced, classes taking turns."""
    if source.targets is None:
        msg = "make_sample: source must have class folders"
        raise ValueError(msg)
    classes = sorted({str(target) for target in source.targets})
    labels = [classes.index(str(target)) for target in source.targets]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for index in draw(labels, num_images, seed):
            image = bytes(source.read(index))
            # Owner, mode and time stay at TarInfo's constants, for the same bytes every time.
            member = tarfile.TarInfo(source.names[index])
            member.size = len(image)
            archive.addfile(member, io.BytesIO(image))
    return buffer.getvalue()


if __name__ == "__main__":
    main()
