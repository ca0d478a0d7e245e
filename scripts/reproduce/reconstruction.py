"""Prints what reconstruction gains on the embedded default, in few steps, by several settings.

python scripts/reproduce/reconstruction.py [--images N] [--eval N] [--steps N] [--threads T]
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch

import hybridquant as hq
from hybridquant.recipe import PassSpec, Recipe, Rule, load_recipe

DATA = Path(__file__).parents[2] / "tests" / "data"
SHARED = {"batch": 16, "scale_lr": 0.01, "relative": True}
SETTINGS = {
    "not at all": None,
    "adaround, lr 0.02": {"lr": 0.02},
    "ste, lr 0.03": {"rounding": "ste", "lr": 0.03},
    "ste, lr 0.03, drop 0.5": {"rounding": "ste", "lr": 0.03, "drop": 0.5},
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare settings of reconstruction.")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--eval", type=int, default=200)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    model = hq.load_model(hq.default_model_name())
    calib, val = (
        hq.load_data(DATA / f"imagenette_{split}.tar", model.data_config, num_images=count)
        for split, count in (("calib", args.images), ("val", args.eval))
    )
    images = list(val.batches(50))
    original = hq.predict(model.module, images)
    print(
        f"{model.name}, top-1 {100 * original.top1:.1f} % in float on {args.eval} images of "
        f"{val.sha256[:12]}; {args.images} images of {calib.sha256[:12]}, {args.steps} steps of "
        f"16, seed 0, {args.threads} threads, torch {torch.__version__}\n"
    )
    rows: list[list[object]] = []
    for width, recipe in (("W4A8", load_recipe("baseline/w4a8-mse")), ("W4A4", four_bits())):
        for name, options in SETTINGS.items():
            start = time.process_time()
            steps = {"steps": args.steps, **SHARED, **(options or {})}
            passes = (PassSpec("observe"), PassSpec("reconstruct", steps))
            chosen = replace(recipe, passes=passes[: 1 if options is None else 2])
            graph = hq.quantize(model.module, calib, chosen)
            seconds = time.process_time() - start
            found = hq.predict(graph, images)
            near = hq.fidelity(original, found)
            share = f"{100 * near.agreement:.1f}"
            top1, sqnr = f"{100 * found.top1:.1f}", f"{near.sqnr_db:.1f}"
            rows.append([width, name, top1, share, sqnr, f"{seconds:.0f}"])
    columns = ["", "reconstruction", "top-1 %", "agreement %", "SQNR dB", "CPU s"]
    print(hq.format_table(columns, rows))


def four_bits() -> Recipe:
    """Return baseline/w4a8-mse with 4 bits for activations too, but 8 at both ends."""
    recipe = load_recipe("baseline/w4a8-mse")
    products = ("conv2d", "linear", "matmul")
    narrow = Rule(products, operand="activation", bits=4)
    ends = Rule(products, modules=("@first", "@last"), bits=8)
    return replace(recipe, rules=(*recipe.rules, narrow, ends))


if __name__ == "__main__":
    main()
