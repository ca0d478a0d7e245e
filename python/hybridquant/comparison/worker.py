"""The process of one cell: reads its job, computes the figures, writes them, and is gone.

It lives as long as whoever started it: where its standard input ends, it ends too.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file
from safetensors.torch import save as safetensors_bytes

from hybridquant.capture import CaptureError
from hybridquant.comparison.fingerprint import code_sha256
from hybridquant.comparison.images import Images
from hybridquant.comparison.subject import Subject
from hybridquant.data import ImageData
from hybridquant.engine import IntegerModel
from hybridquant.export.files import write_atomically
from hybridquant.lower import LoweringError
from hybridquant.models import LoadedModel
from hybridquant.pipeline import quantize, to_integer
from hybridquant.quant_graph import QuantGraph
from hybridquant.recipe import Recipe, recipe_from_dict
from hybridquant.report import Predictions, coverage, float_bytes, packed_bytes, predict
from hybridquant.report import fidelity as fidelity_of

# What bad input raises: the sentence alone says it.
_INPUT_ERRORS = (
    ValueError,
    TypeError,
    NotImplementedError,
    OSError,
    ImportError,
    MemoryError,
    CaptureError,
)


@dataclass(frozen=True)
class Job:
    """What a cell's process is told.

    Args:
        subject: The model.
        images: The images.
        recipe: The recipe as YAML; None for the float32 model.
        seed: Of all random numbers.
        batch_size: Images a batch.
        is_integer: Whether to make the integer model and to measure it.
        threads: Threads of torch; None for its own choice.
        logits: File of the float32 model's logits: written by its cell, read by the others.
        result: File to write the figures to.
    """

    subject: dict[str, Any]
    images: dict[str, Any]
    recipe: str | None
    seed: int
    batch_size: int
    is_integer: bool
    threads: int | None
    logits: str
    result: str


def main() -> None:
    """Do the job on the first line of standard input, as JSON."""
    job = Job(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Where memory runs out, Linux ends this process and not the one that keeps the table.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    figures: dict[str, Any] = {}
    try:
        _work(job, figures)
        failure = None
    except Exception as error:
        traceback.print_exc()
        failure = _sentence(error)
    result = {"figures": figures, "failure": failure}
    write_atomically(Path(job.result), json.dumps(result, allow_nan=False).encode())


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def _work(job: Job, figures: dict[str, Any]) -> None:
    """Fill in ``figures``, as far as it comes."""
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    figures.update(threads=torch.get_num_threads(), code_sha256=code_sha256())
    model = Subject(**job.subject).load(job.seed)
    images = Images(**job.images)
    test = images.evaluation(model)
    if job.recipe is None:
        _measure_float(job, model, test, figures)
    else:
        # Weights that are random were drawn before: so does `hybridquant quantize`.
        recipe = recipe_from_dict(yaml.safe_load(job.recipe))
        _measure_recipe(job, model, recipe, images.calibration(model), test, figures)
    figures["peak_bytes"] = _peak_bytes()


def _measure_float(job: Job, model: LoadedModel, test: ImageData, figures: dict[str, Any]) -> None:
    found = predict(model.module, test, batch_size=job.batch_size)
    logits = safetensors_bytes({"logits": found.logits.contiguous(), "labels": found.labels})
    write_atomically(Path(job.logits), logits)
    figures.update(
        images=found.images,
        labels=found.labels.tolist() if test.has_labels else None,
        is_random=model.is_random,
        card_top1=(model.card or {}).get("top1_val"),
        bytes=float_bytes(model.module),
        **_outcome("", None, found, test.has_labels),
    )


def _measure_recipe(
    job: Job,
    model: LoadedModel,
    recipe: Recipe,
    calib: ImageData,
    test: ImageData,
    figures: dict[str, Any],
) -> None:
    original = Predictions(**load_file(job.logits))
    start = time.perf_counter()
    graph = quantize(model.module, calib, recipe, batch_size=job.batch_size)
    figures["seconds"] = round(time.perf_counter() - start, 3)
    figures["calibration_peak_bytes"] = _peak_bytes()
    figures["calib_images"] = calib.num_images
    found = predict(graph, test, batch_size=job.batch_size)
    cover = coverage(graph)
    figures.update(
        bytes=packed_bytes(graph),
        quantized_operators=sum(cover.quantized.values()),
        float_operators=sum(cover.float.values()),
        **_outcome("", original, found, test.has_labels),
    )
    if job.is_integer:
        _measure_integer(job, model, graph, original, test, figures)


def _measure_integer(
    job: Job,
    model: LoadedModel,
    graph: QuantGraph,
    original: Predictions,
    test: ImageData,
    figures: dict[str, Any],
) -> None:
    try:
        lowered = to_integer(graph, model.data_config, model.classes)
    except LoweringError as error:
        figures.update(integer_problems=len(error.problems), first_problem=error.problems[0])
        return
    integer = IntegerModel(lowered.to_bytes(), torch.get_num_threads())
    found = predict(integer, test, batch_size=job.batch_size)
    figures.update(
        integer_problems=0,
        integer_nodes=integer.num_nodes,
        integer_bytes=len(integer.to_bytes()),
        **_outcome("integer_", original, found, test.has_labels),
    )


def _outcome(
    prefix: str, original: Predictions | None, found: Predictions, is_labelled: bool
) -> dict[str, Any]:
    """Return what a model says about each image, and how good that is."""
    plain: dict[str, Any] = {
        "predictions": found.logits.argmax(1).tolist(),
        "top1": found.top1 if is_labelled else None,
    }
    if original is not None:
        close = fidelity_of(original, found)
        is_equal = close.sqnr_db == float("inf")  # for which JSON has no number
        plain |= {
            "agreement": close.agreement,
            "kl": round(close.kl, 9),
            "sqnr_db": None if is_equal else round(close.sqnr_db, 6),
        }
    return {f"{prefix}{name}": value for name, value in plain.items()}


def _peak_bytes() -> int:
    """Return the most memory this process had resident so far."""
    # Not getrusage's figure where there is another: it counts the parent before exec, too.
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _sentence(error: Exception) -> str:
    """Return what went wrong on one line."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return text if isinstance(error, _INPUT_ERRORS) else f"{type(error).__name__}: {text}"
