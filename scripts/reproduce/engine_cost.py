"""Prints what the engine weighs: bytes of its programs without symbols, and memory of a run.

python scripts/reproduce/engine_cost.py [--build BUILD] [--recipe RECIPE] [MODEL ...]

BUILD is a CMake build of the kind Release; docs/embedding.md says how to make one.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch

import hybridquant as hq
from hybridquant.export import save_integer_model
from hybridquant.lower import lower

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "imagenette_calib.tar"
CALIBRATION_IMAGES = 16
MODELS = tuple(model.name for model in hq.list_models())


def main() -> None:
    parser = argparse.ArgumentParser(description="Weigh the engine and its models.")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "embedding")
    parser.add_argument("--recipe", default=str(ROOT / "tests" / "python" / "lower" / "w8a8.yaml"))
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL")
    args = parser.parse_args()
    torch.set_num_threads(1)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print_programs(args.build, folder)
        rows = [memory_row(args, model, folder) for model in args.models]
    header = ["model", "weights", "largest pair", "engine", "share", "process", "of it the model"]
    print(hq.format_table(header, rows))


def print_programs(build: Path, folder: Path) -> None:
    rows: list[list[object]] = []
    for name in ("hybridquant-run", "libhybridquant_runtime.so"):
        subprocess.run(["strip", "-o", folder / name, build / name], check=True)
        rows.append([name, (folder / name).stat().st_size])
    print(hq.format_table(["program", "bytes"], rows) + "\n")


def memory_row(args: argparse.Namespace, name: str, folder: Path) -> list[object]:
    """Return bytes of one model: what a run must hold, and what it does hold with one thread."""
    model = hq.load_model(name)
    config = model.data_config
    data = hq.load_data(DATA, config, num_images=CALIBRATION_IMAGES)
    graph = lower(hq.quantize(model.module, data, args.recipe), config.mean, config.std)
    save_integer_model(graph, folder / "model.hq.safetensors", config)
    file = (folder / "model.hq.safetensors").read_bytes()
    weights = len(file) - 8 - int.from_bytes(file[:8], "little")
    (folder / "image").write_bytes(next(iter(data.byte_batches(1)))[0].numpy().tobytes())
    run = ["--json", "--info", "--raw", "--memory"]
    info, _, memory = report(args.build, *run, folder / "model.hq.safetensors", folder / "image")
    (empty,) = report(args.build, "--json", "--memory", "--version")[-1:]
    engine = info["constant_bytes"] + info["session_bytes"]
    pair = info["largest_pair_bytes"]
    process = memory["peak_process_bytes"]
    share = f"{engine / (weights + pair):.2f}"
    return [name, weights, pair, engine, share, process, process - empty["peak_process_bytes"]]


def report(build: Path, *arguments: object) -> list[dict[str, Any]]:
    command = [str(build / "hybridquant-run"), *map(str, arguments)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


if __name__ == "__main__":
    main()
