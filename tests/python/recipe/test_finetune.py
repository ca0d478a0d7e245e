"""The section ``finetune`` of a recipe."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from hybridquant.recipe import FinetuneSettings, recipe_from_dict, recipe_to_dict, recipe_to_yaml
from hybridquant.recipe.field_error import FieldError

PAGE = (Path(__file__).parents[3] / "configs" / "README.md").read_text(encoding="utf-8")


def recipe(section):
    rules = [{"operators": "*", "bits": 8}]
    data = {"name": "test", "description": "Test.", "rules": rules, "passes": ["observe"]}
    return recipe_from_dict({**data, "finetune": section})


def test_a_recipe_keeps_its_settings():
    made = recipe({"lr": 0.001, "weight_steps": False, "batch_size": 8})
    assert made.finetune == FinetuneSettings(lr=0.001, weight_steps=False, batch_size=8)
    assert recipe_from_dict(recipe_to_dict(made)) == made
    assert recipe_from_dict(yaml.safe_load(recipe_to_yaml(made))) == made
    assert recipe({}).finetune == FinetuneSettings()


# section, text of the error
WRONG = [
    ([], "finetune must be a mapping with keys among lr, "),
    ({"step_rl": 1}, "finetune must have known keys only, got 'step_rl'; did you mean step_lr"),
    ({"lr": -0.1}, "finetune.lr must be a number from 0.0 to 1.0, got -0.1"),
    ({"lr": "1e-5"}, "finetune.lr must be a number from 0.0 to 1.0, got '1e-5'; write 1.0e-5"),
    ({"lr": float("nan")}, "finetune.lr must be a number from 0.0 to 1.0, got nan"),
    ({"lr": 0, "step_lr": 0}, "finetune.lr must be above 0 where step_lr is 0, got 0"),
    ({"ema_decay": 1.0}, "finetune.ema_decay must be a number from 0.0 to below 1.0, got 1.0"),
    ({"temperature": 0}, "finetune.temperature must be a number from 0.01 to 100.0, got 0"),
    ({"flip": True}, "finetune.flip must be a number from 0.0 to 1.0, got True"),
    ({"batch_size": 0}, "finetune.batch_size must be a whole number of at least 1, got 0"),
    ({"weight_steps": 1}, "finetune.weight_steps must be true or false, got 1"),
]


@pytest.mark.parametrize(("section", "text"), WRONG, ids=[text for _, text in WRONG])
def test_a_wrong_section_is_named(section, text):
    with pytest.raises(FieldError, match=re.escape(text)):
        recipe(section)


def test_the_schema_page_gives_every_key_and_its_default():
    table = PAGE[PAGE.index("The keys of `finetune`") :]
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (\S+) \|$", table, re.MULTILINE))
    assert set(rows) >= {field.name for field in fields(FinetuneSettings)}
    for field in fields(FinetuneSettings):
        assert yaml.safe_load(rows[field.name].strip("`")) == field.default, field.name
