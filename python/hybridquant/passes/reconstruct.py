"""The pass ``reconstruct``: learn roundings, weights or scales unit by unit, by gradients."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Literal

import torch

from hybridquant.calibration import Calibration
from hybridquant.layerwise import Product, Visit, products_of, sweep, unit_of
from hybridquant.layerwise.block_units import block_units, unit_name
from hybridquant.layerwise.output_weights import gradient_weights
from hybridquant.layerwise.reconstruction import Schedule, Target, train
from hybridquant.layerwise.sweep import MEMORY
from hybridquant.layerwise.trainable import Trainable
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph

_LOG = logging.getLogger(__name__)

_CHOICES = {
    "units": ("block", "layer"),
    "rounding": ("adaround", "ste", "keep"),
    "quantized": ("all", "weights", "activations"),
    "loss": ("lp", "fisher", "perturb"),
    "normalize": ("first", "none"),
}

# Smallest value, and what is required, of the numbers that are not just at least 0.
_NUMBERS = {
    "steps": (1, "a whole number of at least 1"),
    "batch": (1, "a whole number of at least 1"),
    "lr": (1e-12, "a number above 0"),
    "exponent": (1e-12, "a number above 0"),
    "drop": (0, "a number from 0 to 1"),
}


@PASSES.register("reconstruct")
def reconstruct(
    graph: QuantGraph,
    calibration: Calibration,
    *,
    units: Literal["block", "layer"] = "block",
    rounding: Literal["adaround", "ste", "keep"] = "adaround",
    quantized: Literal["all", "weights", "activations"] = "all",
    steps: int = 20000,
    batch: int = 32,
    lr: float = 1e-3,
    scale_lr: float = 0.0,
    bias_lr: float = 0.0,
    relative: bool = False,
    drop: float = 0.0,
    loss: Literal["lp", "fisher", "perturb"] = "lp",
    exponent: float = 2.0,
    regularizer: float = 3.0,
    normalize: Literal["first", "none"] = "first",
    images: int | None = None,
    memory: float = MEMORY,
    seed: int = 0,
) -> QuantGraph:
    """Train each unit to compute, from what the quantized units before leave, what it is in float.

    Units are gone through in the order of the graph. A unit is trained on random batches of the
    cached images, then its weights are rounded for good; where its loss over all images is not
    smaller than before, it is left as it was. The log (level INFO, ``hybridquant``) has the loss of
    each unit before and behind, and says which were left.

    Costs a sweep, ``3 * steps * batch`` runs of each unit, and gradients.

    Args:
        graph: The graph, calibrated, changed in place.
        calibration: The images.
        units: ``block``: ``hybridquant.layerwise.block_units``; ``layer``: each product.
        rounding: ``adaround`` learns whether each weight goes up or down, ``ste`` learns the
            weights through straight-through rounding, ``keep`` leaves them.
        quantized: What is quantized meanwhile: the rest runs in float. Weights that are not
            quantized learn in float under ``ste``.
        steps: Steps a unit, at least 1.
        batch: Images a step, at least 1.
        lr: Learning rate of roundings (constant), or weights (a cosine to 0).
        scale_lr: Of the scales of activations, a cosine to 0; 0 leaves them.
        bias_lr: Of biases, a cosine to 0; 0 leaves them.
        relative: Rates of weights, scales and biases are in grid steps, shares of the scale, and
            shares of the biases' root mean square. They are numbers otherwise, as in the papers.
        drop: Probability that an element of the unit's input or of an activation is in float
            during training, 0 to 1, as a multiple of 1/256.
        loss: What an element of an output counts: ``lp``: all the same; ``fisher``: the mean
            ``(|g| + 1) ** 2``, g its gradient of the divergence between quantized and float logits;
            ``perturb``: how that gradient changes when the output is moved up and down.
        exponent: Of the absolute error.
        regularizer: How much undecided roundings cost after a fifth of the steps; under
            ``normalize: first`` for all weights of the unit together, else for each.
        normalize: ``first``: each output's loss is divided by its first value; ``none``: only where
            a unit has several outputs, by the float output's own power.
        images: From the beginning of ``calibration``; as many as fit ``memory`` if None.
        memory: GiB for what is cached between units.
        seed: Of the random batches and drops.

    Returns:
        ``graph``, reconstructed.

    Raises:
        ValueError: If an option is not as above, or the graph is not calibrated.
        NotImplementedError: If ``adaround`` meets weights whose grid is not affine, or several
            processes calibrate together: each would learn something else.

    Source:
        AdaRound, arXiv:2004.10568; BRECQ, arXiv:2102.05426; QDrop, arXiv:2203.05740; straight-
        through weights: I&S-ViT, arXiv:2311.10126; ``perturb``: APHQ-ViT, arXiv:2504.02508. The
        division by the first value is FIMA-Q's, arXiv:2506.11543; ``relative``, the share of the
        regulariser under ``first`` and that units may stay as they were are chosen.
    """
    options = {"units": units, "rounding": rounding, "quantized": quantized}
    _check_choices({**options, "loss": loss, "normalize": normalize})
    schedule = Schedule(steps, batch, lr, scale_lr, bias_lr, drop, exponent, regularizer, normalize)
    _check_schedule(schedule)
    if calibration.processes.count > 1:
        msg = f"reconstruct: processes must be 1, got {calibration.processes.count}"
        raise NotImplementedError(msg)
    products = products_of(graph)
    chosen = block_units(graph) if units == "block" else [unit_of([p.node]) for p in products]
    first = calibration.first()
    with _only(graph, quantized):
        visits = sweep(graph, calibration, chosen, images=images, memory=memory, what="reconstruct")
        for index, visit in enumerate(visits):
            trainable = _trainable(visit, products, rounding, schedule, relative)
            if trainable is None:
                continue
            weights = None if loss == "lp" else gradient_weights(graph, visit.unit, first, loss)
            target = Target(visit, exponent, weights)
            generator = torch.Generator(device=_device(visit)).manual_seed(seed + index)
            _reconstruct(visit, trainable, target, schedule, generator)
    return graph


def _trainable(
    visit: Visit, products: Sequence[Product], rounding: str, schedule: Schedule, relative: bool
) -> Trainable | None:
    """Return what learns in a unit, None where nothing does."""
    members = set(visit.unit.nodes)
    own = [product for product in products if product.node in members]
    trainable = Trainable(visit.graph, visit.unit, own, is_relative=relative)
    if rounding == "adaround":
        trainable.round_weights()
    if rounding == "ste":
        trainable.learn_weights()
    if schedule.bias_lr:
        trainable.learn_biases()
    if schedule.scale_lr:
        trainable.learn_scales()
    return trainable if trainable.is_learning else None


def _reconstruct(
    visit: Visit,
    trainable: Trainable,
    target: Target,
    schedule: Schedule,
    generator: torch.Generator,
) -> None:
    """Train a unit, and keep the result where it is nearer to the float unit."""
    name = unit_name(visit.unit)
    before = target.losses_of_graph()
    if not any(before.values()):
        return
    divisors = target.divisors(before, schedule.normalize)
    train(trainable, visit, target, divisors, schedule, generator, name)
    undo = trainable.store()
    after = target.losses_of_graph()
    start, end = (sum(loss[n] / divisors[n] for n in divisors) for loss in (before, after))
    if end < start:
        _LOG.info("reconstruct %s: loss %.4g, before %.4g", name, end, start)
        return
    undo()
    _LOG.info("reconstruct %s: left as it was, loss %.4g, trained %.4g", name, start, end)


@contextmanager
def _only(graph: QuantGraph, quantized: str) -> Iterator[None]:
    """Switch off the fake-quant modules of what is not ``quantized`` inside the ``with`` block."""
    operand = {"weights": "activation", "activations": "weight"}.get(quantized)
    edges = [edge for edge in graph.quant_edges if edge.edge.operand == operand]
    modules = {edge.module: graph.module_of(edge) for edge in edges}
    before = {name: module.enabled for name, module in modules.items()}
    try:
        for module in modules.values():
            module.enabled = False
        yield
    finally:
        for name, module in modules.items():
            module.enabled = before[name]


def _device(visit: Visit) -> torch.device:
    return next(iter(visit.batches[0].values.values())).device


def _check_choices(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if value not in _CHOICES[name]:
            known = ", ".join(_CHOICES[name])
            msg = f"reconstruct: {name} must be one of {known}, got {value!r}"
            raise ValueError(msg)


def _check_schedule(schedule: Schedule) -> None:
    """Check the numbers.

    Raises:
        ValueError: If one is outside its range; the text says which.
    """
    for name, value in asdict(schedule).items():
        is_count = name in ("steps", "batch")
        low, requirement = _NUMBERS.get(name, (0.0, "a number of at least 0"))
        high = 1.0 if name == "drop" else math.inf
        is_number = isinstance(value, int if is_count else int | float)
        is_legal = is_number and not isinstance(value, bool) and low <= value <= high
        if name != "normalize" and not is_legal:
            hint = "; write 1.0e-5: YAML reads 1e-5 as text" if isinstance(value, str) else ""
            msg = f"reconstruct: {name} must be {requirement}, got {value!r}{hint}"
            raise ValueError(msg)
