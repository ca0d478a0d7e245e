"""Analyses of whole models, the recipes they lead to, and the search for a small enough drop."""

import json
from dataclasses import replace

import pytest
import torch
from analysis_cases import one_operator, recipe_of

from hybridquant import capture, prepare, to_integer
from hybridquant.analysis import (
    Chosen,
    Step,
    analysis_csv,
    analysis_data,
    analysis_page,
    analyze,
    fallback_data,
    limit_drop,
    raises_data,
    worst_table,
)
from hybridquant.analysis.fallback import _fewest
from hybridquant.data import DataConfig
from hybridquant.pipeline import quantize
from hybridquant.recipe import Rule, recipe_to_yaml
from hybridquant.report import Predictions, fidelity, predict

BAD = recipe_of(Rule(("linear",), modules=("qkv",), bits=2), Rule(("linear",), ("head",), bits=6))


@pytest.fixture
def analysis(tiny_model, images):
    return analyze(tiny_model, images, BAD)


def labelled_by(model, images):
    """Return the images with the classes that the float model gives, which are then all right."""
    with torch.no_grad():
        return [(images, model(images).argmax(1))]


def beside_float(model, graph, images):
    labels = torch.zeros(len(images), dtype=torch.int64)
    with torch.no_grad():
        return fidelity(Predictions(model(images), labels), Predictions(graph(images), labels))


def test_the_recipe_keeps_the_worst_and_is_better(tiny_model, images, analysis):
    recipe = analysis.recipe_that_keeps(1)
    assert recipe.name == "test-keep1"
    graph = quantize(tiny_model, images, recipe)
    bits = {(e.edge.path, e.edge.operand): e.spec.bits for e in graph.quant_edges}
    assert bits["qkv", "weight"] == 8
    assert bits["qkv", "activation"] == 16
    assert (bits["head", "weight"], bits["head", "activation"]) == (6, 6)
    before = beside_float(tiny_model, analysis.graph, images)
    after = beside_float(tiny_model, graph, images)
    assert after.sqnr_db > before.sqnr_db + 6
    assert after.kl < before.kl / 4


def test_the_recipe_still_becomes_integer(tiny_model, images):
    config = DataConfig(input_size=(3, 16, 16))
    found = analyze(tiny_model, images, "integer/w8a8")
    count = len(found.sensitivities)
    graph = quantize(tiny_model, images, found.recipe_that_keeps(count))
    assert min(e.spec.bits for e in graph.quant_edges if e.edge.operand == "activation") == 16
    assert to_integer(graph, config).num_nodes > 0


def test_keep_nothing_is_refused(analysis):
    with pytest.raises(ValueError, match="kept: count must be at least 1, got 0"):
        analysis.kept(0)


def test_bits_that_all_have_are_refused(small_analysis):
    with pytest.raises(ValueError, match="bits must be above those of the 5 most sensitive"):
        small_analysis.recipe_that_keeps(5, bits=8)


@pytest.fixture
def small_analysis(images):
    return analyze(one_operator(), images, recipe_of())


def test_a_model_with_one_operator(images, small_analysis):
    (found,) = small_analysis.sensitivities
    assert found.operator.path == "only"
    graph = quantize(one_operator(), images, small_analysis.recipe_that_keeps(5))
    assert {e.spec.bits for e in graph.quant_edges} == {8, 16}


def test_images_for_the_sensitivity_may_be_others(tiny_model, images):
    found = analyze(tiny_model, images, BAD, probe=images[:2])
    assert found.ranges == analyze(tiny_model, images, BAD).ranges
    alone = beside_float(tiny_model, found.graph, images[:2])
    assert found.quantized.sqnr_db == pytest.approx(alone.sqnr_db, rel=1e-5)


@pytest.mark.parametrize("is_labelled", [True, False], ids=["top1", "agreement"])
def test_a_drop_is_kept_and_measured(tiny_model, is_labelled):
    images = torch.randn(40, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():  # no class is favoured, so that noise changes the class
        tiny_model.head.bias -= tiny_model(images).mean(0)
    recipe = recipe_of(Rule(("*",), operand="weight", bits=2), Rule(("linear",), bits=2))
    analysis = analyze(tiny_model, images, recipe)
    evaluation = labelled_by(tiny_model, images) if is_labelled else None
    steps: list[Step] = []
    found = limit_drop(
        tiny_model, images, analysis, 10.0, evaluation=evaluation, on_step=steps.append
    )
    assert found.is_reached
    assert found.metric == ("top1" if is_labelled else "agreement")
    assert found.steps[0].drop > 10.0
    assert found.step.drop <= 10.0
    assert tuple(steps) == found.steps
    assert len(found.taken) == found.step.weights + found.step.inputs > 0
    # What it says is what its recipe gives.
    graph = quantize(tiny_model, images, found.recipe)
    measured = predict(graph, labelled_by(tiny_model, images))
    assert 100 * (1 - measured.top1) == pytest.approx(found.step.drop)
    with torch.no_grad():
        assert found.graph(images).equal(graph(images))


def test_raises_go_operator_by_operator(tiny_model, images):
    recipe = recipe_of(Rule(("linear",), operand="weight", bits=2))
    analysis = analyze(tiny_model, images, recipe)
    raises = limit_drop(tiny_model, images, analysis, 0.0).raises
    worst = list(dict.fromkeys((op.kind, op.path) for op in analysis.worst_first()))
    assert list(dict.fromkeys((wanted.kind, wanted.path) for wanted in raises)) == worst
    linear = [wanted.operand for wanted in raises if wanted.path == "qkv"]
    assert linear == ["weight", "activation"]


def test_a_drop_that_is_kept_already_raises_nothing(tiny_model, images, analysis):
    found = limit_drop(tiny_model, images, analysis, 100.0)
    assert found.is_reached
    assert (found.recipe, found.taken, len(found.steps)) == (BAD, (), 1)


def test_a_drop_that_nothing_keeps_is_said(images):
    model = one_operator()
    with torch.no_grad():
        # What decides is a thousandth of the largest weight: 8 bits round it to zero.
        model.only.weight.copy_(torch.tensor([[100, 0.1, 0], [100, -0.1, 0], [0, 0, 0], [0, 0, 0]]))
        model.only.bias.copy_(torch.tensor([1000.0, 1000.0, 0.0, 0.0]))
    found = limit_drop(model, images, analyze(model, images, recipe_of()), 5.0)
    assert not found.is_reached
    assert [step.weights + step.inputs for step in found.steps] == [0, 1]
    assert found.step.drop == min(step.drop for step in found.steps) > 5.0


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_drop_that_is_no_share_is_refused(tiny_model, images, analysis, value):
    with pytest.raises(ValueError, match="max_drop must be a number of at least 0, got"):
        limit_drop(tiny_model, images, analysis, value)


@pytest.mark.parametrize("enough", range(10))
def test_bisection_finds_the_fewest(enough):
    asked = []

    def is_enough(count):
        asked.append(count)
        return count >= enough

    assert _fewest(9, is_enough) == enough
    assert len(asked) <= 6
    assert len(set(asked)) == len(asked)


def test_bisection_that_fails_asks_for_none_and_all_only():
    asked = []
    assert _fewest(9, lambda count: asked.append(count)) is None
    assert asked == [0, 9]
    assert _fewest(0, lambda _count: False) is None


def test_page_and_tables_are_the_same_every_time(tiny_model, images, analysis):
    def make():
        found = analyze(tiny_model, images, BAD)
        recipe = found.recipe_that_keeps(2)
        fallback = limit_drop(tiny_model, images, found, 0.0)
        chosen = Chosen(
            recipe, found.kept(2), "recipe.yaml", (("recipe", "KL"), [("test", "1e-3")]), "x"
        )
        chosen = replace(chosen, fallback=fallback)
        return (
            analysis_page(found, "kl", chosen, "<model>", ["Six images."]),
            analysis_csv(found, "sqnr"),
            json.dumps(analysis_data(found, "gain"), allow_nan=False),
            json.dumps(fallback_data(fallback), allow_nan=False),
            recipe_to_yaml(recipe),
        )

    first = make()
    assert first == make()
    page, table, *_ = first
    assert "&lt;model&gt;" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert len(table.splitlines()) == 1 + len(analysis.sensitivities)


def test_tables_say_what_a_rule_covers(analysis):
    operators = [found.operator for found in analysis.sensitivities]
    rows = raises_data(analysis.kept(len(operators)), operators)
    products = next(row for row in rows if row["kind"] == "matmul")
    assert products["nodes"] == ["matmul", "matmul_1"]
    assert worst_table(analysis, "kl", 1).splitlines()[2].startswith("|   1 | linear   | qkv")


def test_a_graph_without_a_difference_has_a_page(images):
    # A model whose quantization changes nothing: all its values are codes.
    model = one_operator()
    with torch.no_grad():
        model.only.weight.zero_()
    found = analyze(model, images, recipe_of(Rule(("linear",), operand="activation", bits=16)))
    data = analysis_data(found, "kl")
    assert data["operators"][0]["alone"]["sqnr_db"] is None
    chosen = Chosen(found.recipe, (), "recipe.yaml", (("recipe",), [("test",)]), "x")
    assert "equal" in analysis_page(found, "kl", chosen, "model", [])
    assert prepare(capture(model, images), found.recipe.resolve_all).quant_edges
