"""The pass ``correct_bias``: biases take up the mean error of each channel."""

from __future__ import annotations

import torch

from hybridquant.calibration import Calibration
from hybridquant.layerwise import products_of, sweep, unit_of
from hybridquant.layerwise.outputs import output_moments
from hybridquant.layerwise.products import is_shared, present_bias, set_bias
from hybridquant.layerwise.sweep import MEMORY
from hybridquant.passes import PASSES
from hybridquant.quant_graph import QuantGraph


@PASSES.register("correct_bias")
def correct_bias(
    graph: QuantGraph,
    calibration: Calibration,
    images: int | None = None,
    memory: float = MEMORY,
) -> QuantGraph:
    """Add to each bias what the outputs of its channel are below the float model's on average.

    One convolution or linear layer after another, each reading what the corrected layers before it
    give. A layer without a bias gets one; one that runs in two places keeps what it has. Run it
    behind the passes that set ranges and round weights.

    Args:
        graph: The graph, calibrated; changed in place.
        calibration: Images like those the model will see.
        images: How many images are looked at; all that fit into ``memory`` if None.
        memory: GiB for the activations that are kept meanwhile.

    Source:
        Nagel et al., 2019, "Data-Free Quantization" (arXiv 1906.04721), section 4.2, in its
        empirical form.
    """
    products = {p.node: p for p in products_of(graph) if not is_shared(graph, p)}
    units = [unit_of([node]) for node in products]
    for visit in sweep(
        graph, calibration, units, images=images, memory=memory, what="correct_bias"
    ):
        product = products[visit.unit.nodes[0]]
        with torch.no_grad():
            moments = output_moments(visit, product)
            off = moments.mean_float - moments.mean
            set_bias(graph, product, (present_bias(graph, product) + off).float())
    return graph
