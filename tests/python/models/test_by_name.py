"""Names, prefixes, classifiers and contradictions."""

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch

from hybridquant.models import factory, load_model, timm_zoo, torchvision_zoo


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("mobilevit_xxs", "timm"),
        ("mobilevit_xxs.cvnets_in1k", "timm"),
        ("mobilenet_v3_small", "torchvision"),
        ("resnet18", "timm"),
        ("timm:resnet18", "timm"),
        ("torchvision:resnet18", "torchvision"),
    ],
)
def test_names_find_their_library(name: str, package: str) -> None:
    model = load_model(name)
    assert type(model.module).__module__.split(".")[0] == package
    assert (model.name, model.is_random, model.classes, model.card) == (name, True, None, None)
    assert not model.module.training
    assert {p.dtype for p in model.module.parameters()} == {torch.float32}
    # For what gets the module alone.
    assert factory.data_config(model.module) == model.data_config


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mobilvit_s", "did you mean mobilevit_s or mobilevit_xs"),
        ("efficientvit_b0.imagenett", r"did you mean efficientvit_b0\.imagenette"),
        ("mobilevit_s.in22k", "did you mean mobilevit_s"),
        ("timm:mobilenet_v3_smal", "did you mean mobilenet"),
        ("swin-t", "did you mean swin_t"),
        ("torchvision:mobilevit_s", "did you mean"),
        ("qqqqqq", r"timm.list_models\(\)"),
        ("", "package.module:factory names your own"),
    ],
)
def test_unknown_names_get_a_hint(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"load_model: unknown model '{name}'; .*{text}"):
        load_model(name)


@pytest.mark.parametrize("name", ["timm:test_vit", "torchvision:squeezenet1_1"])
def test_classifier_takes_the_checkpoints_size(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    trained = load_model(name, num_classes=7)
    assert trained.is_random
    torch.save(trained.module.state_dict(), path)
    model = load_model(name, path)
    x = torch.rand(2, *model.data_config.input_size)
    assert torch.equal(model.module(x), trained.module(x))
    assert (model.is_random, model.classes) == (False, None)
    with pytest.raises(ValueError, match=r"fit \w+ with 9 classes, got .* with another shape"):
        load_model(name, path, num_classes=9)
    with pytest.raises(ValueError, match="checkpoint must fit resnet18 with"):
        load_model("resnet18", path)


def test_thousand_trained_classes_are_imagenets(tmp_path: Path) -> None:
    torch.save(load_model("timm:test_vit").module.state_dict(), tmp_path / "x.pth")
    classes = load_model("timm:test_vit", tmp_path / "x.pth").classes
    assert classes is not None
    assert (len(classes), classes[0], classes[-1]) == (1000, "n01440764", "n15075141")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ({"pretrained": True, "checkpoint": "x.pth"}, "pretrained must be False with a checkpoint"),
        ({"pretrained": True, "num_classes": 7}, "num_classes must be 1000, as in .*, got 7"),
    ],
)
def test_contradictions_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=f"load_model: {text}"):
        load_model("mobilevit_xxs", **options)


@pytest.mark.parametrize("name", [None, 3, Path("mobilevit_xxs")])
def test_a_name_must_be_text(name: object) -> None:
    with pytest.raises(TypeError, match=r"load_model: name must be text, got "):
        load_model(name)  # type: ignore[arg-type]


def test_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"must be an existing file, got .*gone\.pth"):
        load_model("timm:test_vit", tmp_path / "gone.pth")


def test_models_without_weights_say_so() -> None:
    with pytest.raises(ValueError, match=r"pretrained must be False for .*, which has no weights"):
        load_model("lcnet_150", pretrained=True)


@pytest.mark.parametrize(
    ("name", "zoo"), [("mobilevit_xxs", timm_zoo), ("mobilenet_v2", torchvision_zoo)]
)
def test_unreachable_hub_is_one_sentence(
    name: str, zoo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: Any, **__: Any) -> None:
        raise URLError("no route")

    monkeypatch.setattr(zoo, "build", build)
    text = (
        rf"weights of {name} must be downloaded from {zoo.HUB}, which cannot be reached .*no route"
    )
    with pytest.raises(OSError, match=text) as error:
        load_model(name, pretrained=True)
    assert "checkpoint=FILE" in str(error.value)
    assert "\n" not in str(error.value)
