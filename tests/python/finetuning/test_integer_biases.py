"""Biases on the grid of an integer model."""

import copy

import torch

from hybridquant.training.integer_biases import round_biases, with_integer_biases


def steps(graph, path):
    """Return s_x s_w of the layer at ``path``."""
    edges = {e.edge.operand: graph.module_of(e) for e in graph.quant_edges if e.edge.path == path}
    return (edges["activation"].scale * edges["weight"].scale).detach()


def test_biases_become_whole_but_that_of_the_layer_that_reads_the_image(graph):
    before = copy.deepcopy(graph)
    round_biases(graph)
    for path in ("depthwise", "qkv", "head"):
        bias, step = graph.get_parameter(f"{path}.bias"), steps(graph, path)
        whole = torch.round(before.get_parameter(f"{path}.bias") / step)
        assert torch.equal(bias, whole * step)
        assert not torch.equal(bias, before.get_parameter(f"{path}.bias"))
    assert torch.equal(graph.get_parameter("stem.bias"), before.get_parameter("stem.bias"))


def test_the_module_computes_the_rounded_graph_and_shares_its_parameters(graph, images):
    module = with_integer_biases(graph)
    bias = graph.get_parameter("head.bias")
    assert module.get_parameter("head.bias") is bias
    trained = module(images)
    trained.sum().backward()
    # Rounding has the gradient 1: that of a bias which is added to each image's logits.
    assert torch.equal(bias.grad, torch.full_like(bias, float(len(images))))
    round_biases(graph)
    torch.testing.assert_close(graph(images), trained, rtol=1e-5, atol=1e-5)
