"""Settings of training runs."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
import timm

from hybridquant.models import list_models
from training.settings import Stage, read_settings

CONFIGS = Path(__file__).parents[3] / "configs" / "train"
GOOD = (
    "model: mobilevit_xxs\nstages: [{epochs: 2, size: 32}, {epochs: 3, size: 64}]\ninput_size: 64\n"
)


def read(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return read_settings(path)


def test_stages_follow_each_other(tmp_path):
    settings = read(tmp_path, GOOD + "crop_scale: [0.5, 0.9]\n")
    assert settings.stages == (Stage(2, 32), Stage(3, 64))
    assert settings.epochs == 5
    assert [settings.size_at(epoch) for epoch in range(5)] == [32, 32, 64, 64, 64]
    assert settings.crop_scale == (0.5, 0.9)
    with pytest.raises(IndexError, match="epoch must be below 5"):
        settings.size_at(5)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "must be a mapping, got list"),
        (GOOD + "mixup: [1", "must be YAML, got while parsing a flow sequence"),
        (GOOD + "epochs: 4", "unknown key 'epochs'; known are batch_size, "),
        ("model: mobilevit_xxs\ninput_size: 64", "stages must hold at least one stage"),
        (GOOD.replace("size: 32", "sise: 32"), "unexpected keyword argument 'sise'"),
        (GOOD.replace("epochs: 2", "epochs: 0"), "stages.epochs must be at least 1, got 0"),
        (GOOD + "lr: -1", "lr must be above 0, got -1"),
        (GOOD + "lr: fast", "lr must be a number, got 'fast'"),
        (GOOD + "flip: 1.5", "flip must be at least 0 and below 1, got 1.5"),
        (GOOD + "crop_scale: [0.9, 0.5]", "crop_scale must be a range within 0 to 1"),
        (GOOD + "warmup_epochs: 5", "warmup_epochs must be 0 to 4, got 5"),
        (GOOD + "crop_scale: [0.5]", "crop_scale must be two numbers, got (0.5,)"),
        (GOOD + "crop_scale: 0.5", "crop_scale must be a list, got 0.5"),
        (GOOD + "batch_size: 16.5", "batch_size must be a whole number, got 16.5"),
        (GOOD + "model_options: 3", "model_options must be a mapping, got 3"),
        (GOOD.replace("mobilevit_xxs", "5"), "model must be text, got 5"),
        (
            GOOD.replace("epochs: 2", "epochs: two"),
            "stages.epochs must be a whole number, got 'two'",
        ),
        ("model: a\nstages: 3\ninput_size: 64", "stages must be a list, got 3"),
        ("model: a\nstages: [3]\ninput_size: 64", "stages must hold {epochs: E, size: S}, got 3"),
        (GOOD + "mixup: -0.1", "mixup must be at least 0, got -0.1"),
    ],
)
def test_mistakes_are_named(tmp_path, text, problem):
    with pytest.raises(ValueError, match=r"run\.yaml: ") as caught:
        read(tmp_path, text)
    assert problem in str(caught.value)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_settings_are_good(path):
    settings = read_settings(path)
    assert timm.is_model(settings.model)
    assert path.stem.removesuffix("_continued") == settings.model


@pytest.mark.parametrize("entry", list_models(), ids=lambda entry: entry.name)
def test_cards_name_the_settings_that_are_shipped(entry):
    named = re.search(r"configs/train/(\S+\.yaml)", entry.card["training"])
    if named is None:
        assert entry.name == "efficientvit_b0.imagenette"
        return
    settings = json.loads(json.dumps(dataclasses.asdict(read_settings(CONFIGS / named[1]))))
    assert entry.card["settings"] == settings
    assert entry.name in (CONFIGS / named[1]).read_text()
