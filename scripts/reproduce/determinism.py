"""Prints what 1 and 2 threads change: in calibrated scales and in the logits of one graph.

python scripts/reproduce/determinism.py
"""

from pathlib import Path

import torch

import hybridquant as hq

DATA = Path(__file__).parents[2] / "tests" / "data"
RECIPES = ("baseline/w8a8-minmax", "baseline/w8a8-mse", "baseline/w8a8-percentile")


def main() -> None:
    model = hq.load_model(hq.default_model_name())
    calibration = hq.load_data(DATA / "imagenette_calib.tar", model.data_config)
    x = next(iter(calibration.batches(32)))[0]
    rows: list[list[object]] = []
    for recipe in RECIPES:
        graphs, logits = {}, {}
        for threads in (1, 2):
            torch.set_num_threads(threads)
            graphs[threads] = hq.quantize(model.module, calibration, recipe)
        scales = [
            [p for name, p in graph.named_parameters() if name.endswith((".scale", ".zero_point"))]
            for graph in graphs.values()
        ]
        different = sum(not torch.equal(a, b) for a, b in zip(*scales, strict=True))
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with torch.inference_mode():
                logits[threads] = graphs[1](x)
        change = float((logits[1] - logits[2]).abs().max() / logits[1].abs().max())
        rows.append([recipe, len(scales[0]), different, f"{change:.1e}"])
    print(
        f"{model.name}, {calibration.num_images} images, 1 against 2 threads, {hq.build_info()}\n"
    )
    print(hq.format_table(["recipe", "parameters", "different", "largest logit change"], rows))


if __name__ == "__main__":
    main()
