"""Recipes by name and from files."""

from pathlib import Path

import pytest

from hybridquant.recipe import list_recipes, load_recipe, recipe_to_yaml

LEGAL = "name: mine\ndescription: d\nrules: [{operators: '*', bits: 8}]\npasses: [observe]\n"


@pytest.mark.parametrize("name", ["mine.yaml", "mine.yml", "folder with space/m.yaml"])
@pytest.mark.parametrize("kind", [str, Path])
def test_loads_a_file(tmp_path, name, kind):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(LEGAL, encoding="utf-8")
    recipe = load_recipe(kind(file))
    assert recipe.name == "mine"
    file.write_text(recipe_to_yaml(recipe), encoding="utf-8")
    assert load_recipe(kind(file)) == recipe


BAD_FILES = [
    (b"", "recipe must be a mapping"),
    (b"# only a comment\n", "recipe must be a mapping"),
    (b"\xff\xfe\x00", "must be UTF-8 text"),
    (b"a: [1\n", "must be YAML, got a mistake: .*line 2"),
    (b"a: 1\na: 2\n", "must be YAML, got a mistake: .*'a' stands twice"),
    (b"[" * 100_000, "must be YAML, got a mistake"),
    (b"a: \x00", "must be YAML, got a mistake"),
    (LEGAL.replace("bits: 8", "bits: 1").encode(), r"rules\[0\].bits must be 2, .*, got 1"),
    (LEGAL.replace("[observe]", "[obey]").encode(), r"passes\[0\] must be a pass, got 'obey'"),
]


@pytest.mark.parametrize(("content", "text"), BAD_FILES, ids=lambda value: str(value)[:25])
def test_refuses_a_bad_file(tmp_path, content, text):
    file = tmp_path / "bad.yaml"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"load_recipe: .*bad.yaml:? .*{text}") as info:
        load_recipe(str(file))
    assert str(file) in str(info.value)
    assert "\n" not in str(info.value)


def test_refuses_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.yaml must be a file, got nothing"):
        load_recipe(str(tmp_path / "none.yaml"))
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match=r"folder.yaml must be a file, got a folder"):
        load_recipe(folder)


def test_refuses_an_unknown_name():
    text = "unknown recipe 'baseline/w8a8-mze'; did you mean baseline/w8a8-mse"
    with pytest.raises(ValueError, match=text):
        load_recipe("baseline/w8a8-mze")


def test_an_edited_copy_of_a_shipped_recipe_is_called_after_its_file(tmp_path):
    shipped = load_recipe("baseline/w8a8-mse")
    file = tmp_path / "mine.yaml"
    text = recipe_to_yaml(shipped)
    file.write_text(text, encoding="utf-8")
    assert load_recipe(file) == shipped
    file.write_text(text.replace("bits: 8", "bits: 6"), encoding="utf-8")
    assert load_recipe(file).name == "mine"
    file.write_text(text.replace("name: baseline/w8a8-mse", "name: ours"), encoding="utf-8")
    assert load_recipe(file).name == "ours"


def test_every_listed_recipe_loads():
    assert [load_recipe(name).name for name in list_recipes()] == list_recipes()


def test_settings_for_training_are_no_recipes(tmp_path, monkeypatch):
    for folder in ("train", "mine"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.yaml").write_text(LEGAL, encoding="utf-8")
    monkeypatch.setattr("hybridquant.recipe.files.resources.files", lambda _: tmp_path)
    assert list_recipes() == ["mine/a"]
