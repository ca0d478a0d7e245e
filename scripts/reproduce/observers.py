"""Prints how well each observer's range keeps real activations, and how long it takes to choose it.

python scripts/reproduce/observers.py [--images N] [--threads T]
"""

import argparse
import time
from pathlib import Path
from statistics import fmean, median

import torch
from torch import Tensor

import hybridquant as hq
from hybridquant.observers import OBSERVERS

DATA = Path(__file__).parents[2] / "tests" / "data"
BITS = (8, 4)
PRODUCTS = ("conv2d", "linear", "matmul")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the observers on real activations.")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    model = hq.load_model(hq.default_model_name())
    images = hq.load_data(
        DATA / "imagenette_calib.tar", model.data_config, num_images=args.images, seed=0
    )
    x = next(iter(images.batches(args.images)))[0]
    found = activations(hq.capture(model.module, x), x)
    rows: list[list[object]] = []
    for name in OBSERVERS.names():
        results = [[measure(name, bits, values) for values, _ in found] for bits in BITS]
        row: list[object] = [name]
        for of_bits in results:
            skewed = [r for r, (_, kind) in zip(of_bits, found, strict=True) if kind == "hardswish"]
            row += [f"{fmean(db for db, _ in group):.1f}" for group in (of_bits, skewed)]
        seconds = [s for of_bits in results for _, s in of_bits]
        rows.append([*row, f"{1e3 * median(seconds):.1f}"])
    num_skewed = sum(kind == "hardswish" for _, kind in found)
    print(
        f"{model.name}, {args.images} images of {images.sha256[:12]}, seed 0, {args.threads} "
        f"threads, torch {torch.__version__}; one asymmetric scale for a tensor; mean SQNR in dB "
        f"of the {len(found)} activations that products read, and of the {num_skewed} among them "
        "that h-swish made; median processor time to see one and choose\n"
    )
    columns = [f"{bits} bits, {which}" for bits in BITS for which in ("all", "h-swish")]
    print(hq.format_table(["observer", *columns, "CPU ms"], rows))


def activations(graph: hq.FloatGraph, x: Tensor) -> list[tuple[Tensor, str]]:
    """Return each activation that a product reads, with the kind of the operator that made it."""
    prepared = hq.prepare(
        graph,
        lambda edges: [
            hq.QuantSpec() if e.kind in PRODUCTS and e.operand == "activation" else None
            for e in edges
        ],
    )
    found: list[tuple[Tensor, str]] = []
    kinds = {
        n.target: n.args[0].meta["kind"] for n in prepared.graph.nodes if n.op == "call_module"
    }
    for module, kind in kinds.items():
        prepared.get_submodule(str(module)).register_forward_pre_hook(
            lambda _, inputs, kind=kind: found.append((inputs[0].clone(), kind))
        )
    with torch.inference_mode(), prepared.fake_quant_off():
        prepared(x)
    return found


def measure(name: str, bits: int, x: Tensor) -> tuple[float, float]:
    """Return the SQNR in dB of quantized ``x``, and the processor seconds spent on the range."""
    spec = hq.QuantSpec(bits=bits, observer=name)
    start = time.process_time()
    observer = OBSERVERS[name](spec, channel_axis=None)
    observer.observe(x)
    scale, zero_point = observer.quantization_parameters()
    seconds = time.process_time() - start
    error = hq.fake_quant_affine(x, scale, zero_point, spec.qmin, spec.qmax) - x
    return 10.0 * float((x.square().sum() / error.square().sum()).log10()), seconds


if __name__ == "__main__":
    main()
