"""hybrid/*: what they promise, on the embedded default model and a stressed copy of it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import hybridquant as hq
from hybridquant.models import LoadedModel, inject_outliers
from hybridquant.recipe import load_recipe

DATA = Path(__file__).parents[2] / "data"
IMAGES = 24


@pytest.fixture(scope="module")
def default() -> LoadedModel:
    return hq.load_model("efficientvit_b0.imagenette")


@pytest.fixture(scope="module")
def calibration(default: LoadedModel) -> hq.ImageData:
    file = DATA / "imagenette_calib.tar"
    return hq.load_data(file, default.data_config, num_images=IMAGES, seed=0)


@pytest.fixture(scope="module")
def photographs(default: LoadedModel) -> Tensor:
    data = hq.load_data(DATA / "imagenette_val.tar", default.data_config, num_images=32, seed=0)
    return next(iter(data.batches(32)))[0]


def sqnr(graph: nn.Module, model: nn.Module, x: Tensor) -> float:
    """Return how far the logits are from the float model's, in dB."""
    with torch.no_grad():
        exact, found = model(x), graph(x)
    return float(10 * torch.log10(exact.square().sum() / (found - exact).square().sum()))


def test_outlier_channels_cost_nothing(
    default: LoadedModel, calibration: hq.ImageData, photographs: Tensor
) -> None:
    stressed = inject_outliers(default.module, 64, seed=1)
    found = {
        (name, which): sqnr(hq.quantize(model, calibration, name), default.module, photographs)
        for name in ("hybrid/w8a8", "baseline/w8a8-minmax")
        for which, model in (("plain", default.module), ("stressed", stressed))
    }
    assert found["hybrid/w8a8", "plain"] > 20
    assert found["hybrid/w8a8", "stressed"] > found["hybrid/w8a8", "plain"] - 2
    assert found["baseline/w8a8-minmax", "stressed"] < 3


@pytest.mark.parametrize(
    ("recipe", "baseline"), [("w6a6", "baseline/w6a6-mse"), ("w4a8", "baseline/w4a8-mse")]
)
def test_far_closer_than_the_baseline_and_all_in_integers(
    default: LoadedModel,
    calibration: hq.ImageData,
    photographs: Tensor,
    recipe: str,
    baseline: str,
) -> None:
    graph = hq.quantize(default.module, calibration, f"hybrid/{recipe}")
    plain = hq.quantize(default.module, calibration, baseline)
    ours, theirs = (sqnr(g, default.module, photographs) for g in (graph, plain))
    assert ours > theirs + 6
    model = hq.to_integer(graph, default.data_config)  # no float operator, or this raises
    data = hq.load_data(DATA / "imagenette_val.tar", default.data_config, num_images=1, seed=0)
    assert hq.verify(model, [next(data.byte_batches(1))[0]]).differing_codes == 0


def test_the_last_step_of_the_ladder_is_the_recipe() -> None:
    last, whole = load_recipe("ladder/9-ridge"), load_recipe("hybrid/w6a6")
    assert (last.rules, last.passes) == (whole.rules, whole.passes)
    assert [dict(step.options) for step in last.passes] == [dict(s.options) for s in whole.passes]
