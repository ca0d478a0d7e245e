"""The pass ``search_scale``: choose scales by what they do to the operator that reads them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal, get_args

import torch

from hybridquant.calibration import Calibration
from hybridquant.layerwise import sweep, unit_of
from hybridquant.layerwise.importance import SOURCES, Importance, Source
from hybridquant.layerwise.multiplications import siblings_of
from hybridquant.layerwise.similarity import METRICS, Metric
from hybridquant.layerwise.sweep import MEMORY
from hybridquant.layerwise.trial import has_images, trial_of
from hybridquant.layerwise.tuned import Strategy, Tuned, ZeroPoints, tuned_of
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph

Inputs = Literal["float", "quantized"]
Start = Literal["max_abs", "observed"]


@PASSES.register("search_scale")
def search_scale(
    graph: QuantGraph,
    calibration: Calibration,
    *,
    metric: Metric = "l2",
    strategy: Strategy = "grid",
    candidates: int = 100,
    low: float = 0.5,
    high: float = 1.2,
    zero_points: ZeroPoints = "near",
    rounds: int = 3,
    start: Start = "max_abs",
    inputs: Inputs = "quantized",
    gradient: Source = "label_ce",
    allow_zero_gradient: bool = False,
    images: int | None = None,
    values: int | None = None,
    memory: float = MEMORY,
) -> QuantGraph:
    """Search the scales of each operator's operands for the least error of its result.

    Of each convolution, linear layer and matrix product the scale of one operand is searched while
    that of the other is fixed: the weight's and then the input's; of a matrix product the left
    operand's and then the right one's; ``rounds`` times, or until nothing changes. A scale stays as
    it is where no candidate has a smaller loss. Where each scale of an operand decides about a part
    of the result alone (a weight's channels, an attention's heads) each is chosen on its own. A
    tensor that several operators read in the same way has one scale, chosen for the sum of their
    losses. Quantizers with levels of their own go through the settings they name. Operators whose
    results do not depend on the image are left alone.

    Costs ``2 * rounds * candidates`` runs of each operator at most: a candidate is given up as
    soon as some images show that it is worse. With the metric ``hessian`` also a run of the model
    forward and back (see ``importance_of``), once for as many operators as fit into ``memory``.

    Args:
        graph: The graph, calibrated; changed in place.
        calibration: Images.
        metric: ``cosine``, ``cosine_rows``, ``l2`` or ``hessian``; see ``loss_of``.
        strategy: ``grid``: the start's scale times ``low + i * (high - low) / candidates``, i from
            0 to ``candidates``, then zero-points around the best; ``fpcs``: see ``fpcs_search``.
        candidates: Of ``grid``, at least 1.
        low: Smallest factor of ``grid``, positive.
        high: Largest factor of ``grid``.
        zero_points: Of ``fpcs`` with an asymmetric scheme: the 16 it begins with lie ``near`` the
            start's, or, as in released code, in the ``middle`` of the codes.
        rounds: At least 1.
        start: What the factors multiply: ``max_abs``, the largest magnitude over
            ``2^(bits - 1) - 0.5`` (an asymmetric scheme: the range over the steps); ``observed``,
            what the module has.
        inputs: ``quantized``: operators read what those before them leave, with the scales found;
            ``float``: all read what they would in float.
        gradient: Where the weights of ``hessian`` come from; see ``importance_of``.
        allow_zero_gradient: Whether gradients that are nothing but float noise are fine.
        images: Number of images from the beginning of ``calibration``; all if None.
        values: An operator whose results for all images are more values than this is judged by
            every second image, or every third and so on; by all of them if None.
        memory: GiB for the values between operators, and as much for gradients.

    Returns:
        ``graph``, with other scales and zero-points; weights are not changed.

    Raises:
        ValueError: If an option is not as above, or the gradients are nothing but float noise.

    Source:
        EasyQuant, arXiv 2006.16669; PTQ4ViT, arXiv 2111.12293; AdaLog, arXiv 2407.12951.
    """
    for name, value, known in (
        ("metric", metric, METRICS),
        ("strategy", strategy, get_args(Strategy)),
        ("zero_points", zero_points, get_args(ZeroPoints)),
        ("start", start, get_args(Start)),
        ("inputs", inputs, get_args(Inputs)),
        ("gradient", gradient, SOURCES),
    ):
        _require(value in known, name, f"be one of {', '.join(known)}", value)
    _require(candidates >= 1, "candidates", "be at least 1", candidates)
    _require(0 < low <= high, "low", f"be positive and at most high, {high}", low)
    _require(values is None or values >= 1, "values", "be at least 1", values)
    _require(rounds >= 1, "rounds", "be at least 1", rounds)
    factors = [low + i * (high - low) / candidates for i in range(candidates + 1)]
    groups = [
        group
        for group in siblings_of(graph)
        if all(has_images(operator.node) for operator in group)
    ]
    units = [unit_of([operator.node for operator in group]) for group in groups]
    by_unit = dict(zip(units, groups, strict=True))
    gradients = Importance(graph, calibration, units, gradient, memory, allow_zero_gradient)
    stops = sweep(graph, calibration, units, images=images, memory=memory, what="search scales")
    for visit in stops:
        importance = gradients.at(visit) if metric == "hessian" else {}
        with torch.no_grad():
            trials = [
                trial_of(visit, operator, metric, importance, inputs == "float", values)
                for operator in by_unit[visit.unit]
            ]
            tuned = tuned_of(graph, trials)
            if start == "max_abs":
                for each in tuned:
                    each.start_at_extremes()
            _search(tuned, strategy, zero_points, factors, rounds)
    return graph


def _search(
    tuned: Sequence[Tuned],
    strategy: Strategy,
    zero_points: ZeroPoints,
    factors: Sequence[float],
    rounds: int,
) -> None:
    """Search the quantizers of operators that share some, one after the other."""
    # In which step each was searched last, and in which it has changed last.
    searched, changed = [-1] * len(tuned), [0] * len(tuned)
    steps = itertools.count(1)
    for _ in range(rounds):
        for i, each in enumerate(tuned):
            if searched[i] > max((step for j, step in enumerate(changed) if j != i), default=0):
                continue  # nothing that its loss depends on has changed since
            searched[i] = next(steps)
            if each.search(strategy, zero_points, factors):
                changed[i] = searched[i]


def _require(is_met: bool, name: str, requirement: str, got: object) -> None:
    if not is_met:
        msg = f"search_scale: {name} must {requirement}, got {got!r}"
        raise ValueError(msg)
