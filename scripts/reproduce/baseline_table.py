"""Prints the README's table: every baseline recipe on one model, as Markdown.

python scripts/reproduce/baseline_table.py [--model M] [--calib DATA] [--eval DATA] [--threads T]
"""

import argparse
import math
from pathlib import Path

import torch

import hybridquant as hq
from hybridquant.report import float_bytes, packed_bytes

DATA = Path(__file__).parents[2] / "tests" / "data"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the baseline recipes on one model.")
    parser.add_argument("--model", default=hq.default_model_name())
    parser.add_argument("--calib", type=Path, default=DATA / "imagenette_calib.tar")
    parser.add_argument("--eval", type=Path, default=DATA / "imagenette_val.tar")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    model = hq.load_model(args.model)
    calibration = hq.load_data(args.calib, model.data_config)
    test = hq.load_data(args.eval, model.data_config, classes=model.classes)
    original = hq.predict(model.module, test.batches(32))
    size = float_bytes(model.module)
    rows: list[list[object]] = [["float32", percent(original.top1), "", "", "", size]]
    for recipe in (name for name in hq.list_recipes() if name.startswith("baseline/")):
        graph = hq.quantize(model.module, calibration, recipe)
        quantized = hq.predict(graph, test.batches(32))
        close = hq.fidelity(original, quantized)
        rows.append(
            [
                recipe,
                percent(quantized.top1),
                percent(close.agreement),
                f"{close.sqnr_db:.1f}",
                f"{close.kl:.3f}",
                packed_bytes(graph),
            ]
        )
    low, high = original.top1_interval()
    print(
        f"{model.name}, {test.num_images} images of {args.eval.name} "
        f"(sha256 {test.sha256[:12]}), calibrated on {calibration.num_images} "
        f"(sha256 {calibration.sha256[:12]}), {args.threads} threads, torch {torch.__version__}; "
        f"95 % interval of the float top-1: {percent(low)} to {percent(high)}\n"
    )
    header = ["recipe", "top-1 %", "agreement %", "SQNR dB", "KL nats", "bytes"]
    print(hq.format_table(header, rows))


def percent(share: float) -> str:
    return f"{100 * share:.2f}" if math.isfinite(share) else "-"


if __name__ == "__main__":
    main()
