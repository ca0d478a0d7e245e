"""The pass ``round_gptq``: round each weight so that the product's output loses least."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridquant.calibration import Calibration
from hybridquant.layerwise import Product, products_of, sweep, unit_of
from hybridquant.layerwise.gram import MOST_ROWS, Moments, moments_of
from hybridquant.layerwise.products import MATRIX_KINDS, is_shared, original_bias, set_bias
from hybridquant.layerwise.rounding import Grid, descend, gptq, ridge
from hybridquant.layerwise.sweep import MEMORY
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph


@PASSES.register("round_gptq")
def round_gptq(
    graph: QuantGraph,
    calibration: Calibration,
    damping: float = 0.01,
    sweeps: int = 2,
    ridge_strength: float = 0.0,
    bias: bool = True,
    images: int | None = None,
    rows: int = MOST_ROWS,
    memory: float = MEMORY,
) -> QuantGraph:
    """Round the weights of convolutions and linear layers one layer after another.

    Each layer sees what the layers before it, already rounded, give it. Its rounded weights are
    those that change its outputs least over the calibration images: by GPTQ, then by coordinate
    descent. With ``ridge_strength`` the weights are first moved to where they make up for what the
    quantization of the input lost. Grouped and depthwise convolutions have a problem a group.

    Run it behind ``observe``: scales stay as they are. Three-dimensional and transposed
    convolutions keep their nearest values, and so do weights that two operators share.

    Args:
        graph: The graph, calibrated; changed in place.
        calibration: Images like those the model will see.
        damping: Added to the diagonal of the second moments, as a share of its mean; above 0.
        sweeps: Of coordinate descent; 0 for GPTQ alone.
        ridge_strength: Above 0 moves the weights first; 1e-3 to 1e-1 of the moments' mean.
        bias: Whether biases take up the mean error of each channel.
        images: How many images are looked at; all that fit into ``memory`` if None.
        rows: Places of the images that are looked at for a layer, at most.
        memory: GiB for the activations that are kept meanwhile.

    Raises:
        ValueError: If an option is out of range, or ranges are not set.
        NotImplementedError: If a weight's quantizer is not ``affine``.

    Source:
        GPTQ (arXiv 2210.17323), COMQ (arXiv 2403.07134), ERQ (ICML 2024) for the ridge. Chosen:
        means are taken out of the moments where the bias takes up the mean error.
    """
    _check(damping, sweeps, ridge_strength, rows)
    products = [product for product in products_of(graph) if _is_rounded(graph, product)]
    units = [unit_of([product.node]) for product in products]
    by_node = {product.node: product for product in products}
    visits = sweep(graph, calibration, units, images=images, memory=memory, what="round_gptq")
    for visit in visits:
        product = by_node[visit.unit.nodes[0]]
        with torch.no_grad():
            moments = moments_of(visit, product, rows)
            moments = moments if bias else moments.about_zero()
            weight, rounded = _rounded(graph, product, moments, damping, sweeps, ridge_strength)
            graph.set_weight(product.weight, rounded.reshape(graph.original(product.weight).shape))
            if bias:
                _correct(graph, product, moments, weight, rounded)
    return graph


def _is_rounded(graph: QuantGraph, product: Product) -> bool:
    edge = product.weight_edge
    is_matrix = product.kind in MATRIX_KINDS and not is_shared(graph, product)
    return edge is not None and is_matrix and edge.spec.bits <= 8


def _rounded(
    graph: QuantGraph,
    product: Product,
    moments: Moments,
    damping: float,
    sweeps: int,
    ridge_strength: float,
) -> tuple[Tensor, Tensor]:
    """Return the weights and the rounded weights, float64 [groups, rows, columns]."""
    assert product.weight_edge is not None
    grid = Grid.of(graph.module_of(product.weight_edge), product.groups)
    weight = product.matrix(graph.original(product.weight)).double()
    wanted = weight
    if ridge_strength > 0:
        wanted = ridge(weight, moments.covariance, moments.cross, ridge_strength)
    rounded = gptq(wanted, moments.covariance, grid, damping)
    return weight, descend(rounded, wanted, moments.covariance, grid, sweeps, damping)


def _correct(
    graph: QuantGraph, product: Product, moments: Moments, weight: Tensor, rounded: Tensor
) -> None:
    """Put what the mean outputs are off by into the bias."""
    exact = (weight @ moments.mean_float.unsqueeze(2)).flatten()
    now = (rounded @ moments.mean.unsqueeze(2)).flatten()
    set_bias(graph, product, (original_bias(graph, product) + exact - now).float())


def _check(damping: float, sweeps: int, ridge_strength: float, rows: int) -> None:
    for name, value, is_legal, requirement in (
        ("damping", damping, damping > 0, "be above 0"),
        ("sweeps", sweeps, sweeps >= 0, "be at least 0"),
        ("ridge_strength", ridge_strength, ridge_strength >= 0, "be at least 0"),
        ("rows", rows, rows >= 1, "be at least 1"),
    ):
        if not is_legal:
            msg = f"round_gptq: {name} must {requirement}, got {value}"
            raise ValueError(msg)
