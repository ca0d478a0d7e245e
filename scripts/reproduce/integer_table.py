"""Prints what integers cost: every shipped checkpoint, float, fake-quantized and in integers.

python scripts/reproduce/integer_table.py [--models M,M] [--recipe R] [--calib DATA] [--eval DATA]

Times are those of one image on one thread: minimum of alternating runs, float32 over integers.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch

import hybridquant as hq
from hybridquant.report import float_bytes

DATA = Path(__file__).parents[2] / "tests" / "data"
MODELS = tuple(model.name for model in hq.list_models())
ROUNDS = 15


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare integer models with their originals.")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--recipe", default="integer/w8a8")
    parser.add_argument("--calib", type=Path, default=DATA / "imagenette_calib.tar")
    parser.add_argument("--eval", type=Path, default=DATA / "imagenette_val.tar")
    args = parser.parse_args()
    torch.set_num_threads(1)

    rows = [row(args, name) for name in args.models.split(",")]
    print(
        f"{args.recipe}, images of {args.eval.name}, calibrated on {args.calib.name}, 1 thread, "
        f"{hq.build_info()['isa']}, torch {torch.__version__}\n"
    )
    accuracies = ["float32 top-1 %", "fake-quant", "integer", "agreement %"]
    costs = ["nodes", "copies", "bytes / float's", "memory MB", "float time / integer's"]
    print(hq.format_table(["model", *accuracies, *costs], rows))


def row(args: argparse.Namespace, name: str) -> list[object]:
    model = hq.load_model(name)
    calibration = hq.load_data(args.calib, model.data_config)
    test = hq.load_data(args.eval, model.data_config, classes=model.classes)
    graph = hq.quantize(model.module, calibration, args.recipe)
    integer = hq.to_integer(graph, model.data_config, model.classes)
    original = hq.predict(model.module, test)
    fake = hq.predict(graph, test)
    exact = hq.predict(integer, test)
    image, byte_image = next(iter(test.batches(1)))[0], next(iter(test.byte_batches(1)))[0]
    seconds = fastest(lambda: model.module(image), lambda: integer(byte_image))
    return [
        name,
        *(f"{100 * found.top1:.2f}" for found in (original, fake, exact)),
        f"{100 * hq.fidelity(fake, exact).agreement:.2f}",
        integer.num_nodes,
        integer.num_copies,
        f"{len(integer.to_bytes()) / float_bytes(model.module):.2f}",
        f"{integer.memory_bytes / 1e6:.1f}",
        f"{seconds[0] / seconds[1]:.2f}",
    ]


@torch.inference_mode()
def fastest(*runs: Callable[[], object]) -> list[float]:
    """Return the shortest seconds of each, run in turn."""
    best = [float("inf")] * len(runs)
    for _ in range(ROUNDS):
        for position, run in enumerate(runs):
            start = time.perf_counter()
            run()
            best[position] = min(best[position], time.perf_counter() - start)
    return best


if __name__ == "__main__":
    main()
