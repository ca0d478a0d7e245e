"""Which cells there are, and what makes another of a cell."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hybridquant.comparison import parse_subjects
from hybridquant.comparison.cell import Settings, plan
from hybridquant.comparison.fingerprint import structure_sha256, weights_sha256
from hybridquant.comparison.images import Images
from hybridquant.comparison.recipes import choose_recipes, recipe_sha256
from hybridquant.recipe import load_recipe


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def test_each_input_of_a_cell_makes_another(inputs: Path) -> None:
    recipes = choose_recipes([inputs / "w8a8.yaml"])
    images = Images(str(inputs / "calib.npz"), str(inputs / "eval.npz"))
    settings = Settings(images)

    def keys(model: str = "tiny_models:tiny", changed: Settings = settings, seed: int = 0):  # type: ignore[no-untyped-def]
        cells = plan(parse_subjects([model], stress_seed=seed), recipes, changed)
        return tuple(cell.key for cell in cells)

    base = keys()
    assert base == keys() == keys(seed=1)
    assert base == keys(changed=replace(settings, threads=2))
    other_calib = replace(settings, images=replace(images, num_calib=5))
    assert (keys(changed=other_calib)[0], keys(changed=other_calib)[1] == base[1]) == (
        base[0],
        False,
    )
    only_float = keys(changed=replace(settings, is_integer=False))
    assert (only_float[0] == base[0], only_float[1] == base[1]) == (True, False)
    others = [
        keys(f"tiny_models:tiny={weights(inputs)}"),
        keys("tiny_models:sorting"),
        keys("tiny_models:tiny+x4"),
        keys("tiny_models:tiny+x4", seed=1),
        keys("tiny_models:tiny+x16"),
        keys(changed=replace(settings, batch_size=4)),
        keys(changed=replace(settings, images=replace(images, num_eval=5))),
        keys(changed=replace(settings, images=replace(images, num_eval=5, seed=1))),
    ]
    np.savez(inputs / "calib.npz", x=np.zeros((8, 3, 16, 16), np.float32), y=np.zeros(8, np.int64))
    assert keys()[0] == base[0]
    assert keys()[1] != base[1]
    found = [key for pair in [base, *others] for key in pair]
    assert len(set(found)) == len(found)


def weights(folder: Path) -> Path:
    from tiny_models import tiny

    torch.manual_seed(5)
    state = {name: x + 0.01 for name, x in tiny().state_dict().items()}
    torch.save(state, folder / "weights.pth")
    return folder / "weights.pth"


def test_a_recipe_is_what_it_does() -> None:
    recipe = load_recipe("baseline/w8a8-mse")
    renamed = replace(recipe, name="other", description="Another text.")
    assert recipe_sha256(renamed) == recipe_sha256(recipe)
    assert recipe_sha256(load_recipe("baseline/w8a8-minmax")) != recipe_sha256(recipe)


def test_recipes_are_chosen_by_name_pattern_and_file(inputs: Path) -> None:
    wanted = ["integer/w8a8", inputs / "w2a2.yaml", "baseline/w8a8-m*", "integer/*"]
    names = [recipe.name for recipe in choose_recipes(wanted)]
    assert names[:4] == ["integer/w8a8", "w2a2", "baseline/w8a8-minmax", "baseline/w8a8-mse"]
    assert names.count("integer/w8a8") == 1


def test_two_recipes_of_one_name_are_refused(inputs: Path) -> None:
    text = (inputs / "w2a2.yaml").read_text(encoding="utf-8").replace("w2a2", "w8a8")
    (inputs / "other.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="recipes must have names of their own, got two named w8"):
        choose_recipes([inputs / "w8a8.yaml", inputs / "other.yaml"])


def test_models_are_named_with_weights_and_ratio() -> None:
    found = parse_subjects(["default", "a=w/x.pth+x2.5", "b+x4", "b+x4"], stress=[1, 16])
    labels = [
        "efficientvit_b0.imagenette",
        "efficientvit_b0.imagenette+x16",
        "a=x.pth+x2.5",
        "b+x4",
    ]
    assert [subject.label for subject in found] == labels
    assert found[2].checkpoint == "w/x.pth"
    with pytest.raises(ValueError, match="models must be one where checkpoint is given, got 2"):
        parse_subjects(["a", "b"], checkpoint="w.pth")
    with pytest.raises(ValueError, match=r"got two named a=w\.pth; give their weights' files"):
        parse_subjects(["a=x/w.pth", "a=y/w.pth"])
    with pytest.raises(ValueError, match="models must name at least one model"):
        parse_subjects([])


def test_weights_and_structure_are_told_apart() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    assert weights_sha256(first) != weights_sha256(second)
    second.load_state_dict(first.state_dict())
    assert weights_sha256(first) == weights_sha256(second)
    # The same weights do something else behind a ReLU than behind a GELU.
    assert structure_sha256(nn.Sequential(first, nn.ReLU())) != structure_sha256(
        nn.Sequential(first, nn.GELU())
    )
