"""Prints how far fake-quantization in float is from the exact integers, operator by operator.

python scripts/reproduce/simulation_gap.py [--models M,M] [--recipe R] [--images N]

Each operator of the QuantGraph gets the codes that the engine has at its inputs, computes in
float32 as the simulation does, and its codes are compared with the engine's. What reads the image
is left out: the engine reads its bytes, the simulation their codes.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor

import hybridquant as hq
from hybridquant.capture.vocabulary import LAYOUT_KINDS
from hybridquant.lower import IntGraph, IntNode, lower

DATA = Path(__file__).parents[2] / "tests" / "data"
MODELS = tuple(model.name for model in hq.list_models())
NARROW = ("uint8", "int8", "int16")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the simulation with the integers.")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--recipe", default="integer/w8a8")
    parser.add_argument("--images", type=int, default=4)
    args = parser.parse_args()
    torch.set_num_threads(1)

    distances: dict[str, list[Tensor]] = defaultdict(list)
    for name in args.models.split(","):
        add_distances(args, name, distances)
    print(
        f"{args.recipe}, {args.models}, {args.images} images of imagenette_val.tar each, "
        f"calibrated on imagenette_calib.tar, torch {torch.__version__}\n"
    )
    rows = [row(kind, torch.cat(found)) for kind, found in sorted(distances.items())]
    rows.append(row("all", torch.cat([x for found in distances.values() for x in found])))
    print(hq.format_table(["operator", "codes", "differ, %", "by 2 or more, %", "largest"], rows))


def add_distances(args: argparse.Namespace, name: str, distances: dict[str, list[Tensor]]) -> None:
    """Add how far each code of a model's operators is from the engine's, by kind of operator."""
    model = hq.load_model(name)
    config = model.data_config
    calibration = hq.load_data(DATA / "imagenette_calib.tar", config)
    graph = hq.quantize(model.module, calibration, args.recipe)
    kinds = {
        node.name: node.meta["kind"]
        for node in graph.graph.nodes
        if node.op == "call_function" and node.meta["kind"] not in LAYOUT_KINDS
    }
    integer = hq.to_integer(graph, config)
    exact = integer.graph
    # The same graph with every operator as a function in float.
    names = [node.output for node in exact.nodes if node.output in kinds]
    floats = lower(graph, config.mean, config.std, allow_float=names)
    data = hq.load_data(DATA / "imagenette_val.tar", config, num_images=args.images)
    for image in next(iter(data.byte_batches(args.images)))[0].split(1):
        trace = {exact.input: image, **integer.trace(image)}
        for node in floats.nodes:
            if node.op == "external" and is_shared(node, floats, exact):
                function = floats.functions[node.output]
                codes = function([trace[x] for x in node.inputs])
                distance = (codes.long() - trace[node.output].long()).abs().flatten()
                distances[kinds[function.operators[-1]]].append(distance)


def is_shared(node: IntNode, floats: IntGraph, exact: IntGraph) -> bool:
    """Return whether both graphs have the node's inputs and its output, in the same codes.

    A product of which the engine computes only some channels is not, nor are exact sums.
    """
    pairs = [(floats.tensors[x], exact.tensors.get(x)) for x in (*node.inputs, node.output)]
    is_same = all(y and (x.shape, x.codes) == (y.shape, y.codes) for x, y in pairs)
    return is_same and pairs[-1][0].codes.dtype in NARROW


def row(kind: str, distances: Tensor) -> list[object]:
    shares = [f"{100 * (distances > limit).double().mean():.4f}" for limit in (0, 1)]
    return [kind, len(distances), *shares, int(distances.max())]


if __name__ == "__main__":
    main()
