"""What learns, by which factor, and how steps stay legal."""

import copy
import math

import pytest
import torch
from torch import nn

from hybridquant.capture import capture
from hybridquant.quant_graph import prepare
from hybridquant.training import distillation_loss, enable_learning
from hybridquant.types import QuantSpec


def clone(parameters):
    return [parameter.detach().clone() for parameter in parameters]


def are_equal(left, right):
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def factors(graph):
    """Return what LSQ's formula gives for each edge of TinyHybrid, by node and position."""
    qmax = {"weight": 7, "activation": 15}
    # Values that share a scale: weights of an output channel, or features of one image.
    values = {
        ("stem", "weight"): 3 * 3 * 3,
        ("depthwise", "weight"): 3 * 3,
        ("qkv", "weight"): 8,
        ("head", "weight"): 8,
        ("stem", "activation"): 3 * 16 * 16,
        ("depthwise", "activation"): 8 * 8 * 8,
        ("qkv", "activation"): 64 * 8,
        ("head", "activation"): 8,
    }
    for edge in graph.quant_edges:
        key = (edge.edge.path, edge.edge.operand)
        if key in values:
            yield graph.module_of(edge), 1 / math.sqrt(values[key] * qmax[edge.edge.operand])


def test_scales_have_lsqs_factor(graph):
    enable_learning(graph)
    found = list(factors(graph))
    assert len(found) == 8
    for module, factor in found:
        assert module.grad_factor == pytest.approx(factor, rel=1e-12)


def test_the_factor_reaches_the_gradient(graph, images):
    plain = copy.deepcopy(graph)
    for parameter in plain.parameters():
        parameter.requires_grad_(True)
    learning = enable_learning(graph)
    for model in (plain, graph):
        model(images).square().sum().backward()
    for name, parameter in graph.named_parameters():
        if name.startswith("fake_quant.") and parameter.requires_grad:
            module = graph.get_submodule(name.rpartition(".")[0])
            expected = plain.get_parameter(name).grad * module.grad_factor
            torch.testing.assert_close(parameter.grad, expected, rtol=1e-5, atol=1e-12)
    assert len(learning.scales) == len({edge.module for edge in graph.quant_edges})


def train(learning, images, original, optimizer, steps=1):
    losses = []
    for _ in range(steps):
        loss = distillation_loss(learning.module(images), original)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_step_moves_what_learns_and_nothing_else(graph, images, tiny_model):
    learning = enable_learning(graph, weight_steps=False)
    steps = {edge.edge.operand: [] for edge in graph.quant_edges}
    for edge in graph.quant_edges:
        steps[edge.edge.operand].append(graph.module_of(edge))
    weight_scales = [module.scale for module in steps["weight"]]
    weight_points = [module.zero_point for module in steps["weight"]]
    moving = [*learning.weights, *learning.scales]
    before, fixed = clone(moving), clone([*weight_scales, *weight_points])
    points = clone(learning.zero_points)
    optimizer = torch.optim.AdamW(learning.groups(1e-3, 1e-2))
    learning.guard(optimizer)
    train(learning, images, tiny_model(images), optimizer)
    assert are_equal(fixed, [*weight_scales, *weight_points])
    for parameter, old in zip(moving, before, strict=True):
        assert not torch.equal(parameter, old)
    assert not are_equal(points, learning.zero_points)


def test_guarded_scales_move_by_a_ratio_and_zero_points_by_a_share(graph, images, tiny_model):
    learning = enable_learning(graph)
    with torch.no_grad():  # scales of very different sizes in one tensor
        learning.scales[1].mul_(torch.logspace(0, -20, learning.scales[1].numel()))
    scales, points = clone(learning.scales), clone(learning.zero_points)
    optimizer = torch.optim.AdamW(learning.groups(0.0, 0.01))
    learning.guard(optimizer)
    train(learning, images, tiny_model(images), optimizer)
    for scale, old in zip(learning.scales, scales, strict=True):
        # Adam's first step is its learning rate, whatever the gradient, or 0 without one.
        ratio = (scale / old).log().abs()
        assert bool(((ratio - 0.01).abs() < 2e-3).logical_or(ratio < 2e-3).all())
    for point, old in zip(learning.zero_points, points, strict=True):
        assert bool(((point - old).abs() <= 0.01 * 15 * 1.01).all())


@pytest.mark.parametrize("step_lr", [3.0, 50.0])
def test_no_step_makes_a_scale_or_zero_point_illegal(graph, images, tiny_model, step_lr):
    learning = enable_learning(graph)
    optimizer = torch.optim.SGD([*learning.scales, *learning.zero_points], lr=step_lr * 1e4)
    learning.guard(optimizer)
    for sign in (1, -1, 1):
        for parameter in (*learning.scales, *learning.zero_points):
            parameter.grad = torch.full_like(parameter, sign * 1e-2)
        optimizer.step()
        for scale in learning.scales:
            assert bool((scale >= 2.0**-126).all())
        for module in (graph.module_of(edge) for edge in graph.quant_edges):
            assert bool((module.zero_point >= module.qmin).all())
            assert bool((module.zero_point <= module.qmax).all())


def test_a_finished_graph_has_whole_zero_points_and_computes_the_same(graph, images, tiny_model):
    learning = enable_learning(graph)
    optimizer = torch.optim.AdamW(learning.groups(1e-2, 2e-2))
    learning.guard(optimizer)
    losses = train(learning, images, tiny_model(images), optimizer, steps=12)
    assert min(losses[-3:]) < losses[0]
    assert any(bool((point != point.round()).any()) for point in learning.zero_points)
    with torch.no_grad():
        trained = learning.module(images)
    finished = learning.finish()
    assert finished is graph
    assert not graph.training
    # The biases of the trained module are whole up to one rounding of float32.
    torch.testing.assert_close(graph(images), trained, rtol=1e-4, atol=1e-4)
    for module in (graph.module_of(edge) for edge in graph.quant_edges):
        assert torch.equal(module.zero_point, module.zero_point.round())
        assert not module.scale.requires_grad
        assert not module.zero_point.requires_grad


def test_weights_that_ask_for_no_gradient_stay(tiny_model, images, graph):
    graph.get_parameter("stem.weight").requires_grad_(False)
    assert len(enable_learning(graph).weights) == 9


def test_what_cannot_learn_is_named(tiny_model, images):
    with pytest.raises(TypeError, match="enable_learning: graph must be a QuantGraph, got Linear"):
        enable_learning(nn.Linear(2, 2))
    captured = capture(tiny_model, images)
    uncalibrated = prepare(captured, lambda edges: [QuantSpec()] * len(edges))
    with pytest.raises(ValueError, match=r"must be calibrated, got no scale for fake_quant\.stem"):
        enable_learning(uncalibrated)
