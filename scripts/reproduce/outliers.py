"""Prints what outliers cost a recipe: every shipped checkpoint at rising ratios, as Markdown.

python scripts/reproduce/outliers.py [--models M,M] [--recipe R] [--calib DATA] [--eval DATA]
"""

import argparse
from pathlib import Path

import torch

import hybridquant as hq
from hybridquant.models import inject_outliers

DATA = Path(__file__).parents[2] / "tests" / "data"
MODELS = tuple(model.name for model in hq.list_models())
RATIOS = (4, 16, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a recipe on models with outliers.")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--recipe", default="baseline/w8a8-minmax")
    parser.add_argument("--calib", type=Path, default=DATA / "imagenette_calib.tar")
    parser.add_argument("--eval", type=Path, default=DATA / "imagenette_val.tar")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    rows = [row(args, name) for name in args.models.split(",")]
    print(
        f"{args.recipe}, top-1 % on the images of {args.eval.name}, calibrated on "
        f"{args.calib.name}, seed {args.seed}, {args.threads} threads, torch {torch.__version__}\n"
    )
    ratios = [f"ratio {ratio}" for ratio in RATIOS]
    print(hq.format_table(["model", "float32", "no outliers", *ratios], rows))


def row(args: argparse.Namespace, name: str) -> list[object]:
    """Return a model's accuracies; raise where outliers changed its float outputs."""
    model = hq.load_model(name)
    calibration = hq.load_data(args.calib, model.data_config)
    test = hq.load_data(args.eval, model.data_config, classes=model.classes)
    original = hq.predict(model.module, test.batches(32))
    modules = [model.module]
    for ratio in RATIOS:
        example = next(iter(calibration.batches(1)))[0]
        modules.append(inject_outliers(model.module, ratio, args.seed, example=example))
        images = next(iter(test.batches(8)))[0]
        with torch.no_grad():
            difference = (modules[-1](images) - model.module(images)).abs().max()
        if difference > 1e-4:
            raise AssertionError(f"{name}: float outputs differ by {difference} at ratio {ratio}")
    quantized = [
        hq.predict(hq.quantize(module, calibration, args.recipe), test.batches(32))
        for module in modules
    ]
    return [name, *(f"{100 * found.top1:.2f}" for found in (original, *quantized))]


if __name__ == "__main__":
    main()
