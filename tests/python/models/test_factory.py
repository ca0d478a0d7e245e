"""Models of the user's own."""

from pathlib import Path

import pytest
import torch
from torch import nn

from hybridquant.data import DataConfig
from hybridquant.models import load_model

SOURCE = """
import timm
from torch import nn
from hybridquant.data import DataConfig

small = DataConfig((3, 32, 32))

def plain():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).double()

def with_config():
    model = plain()
    model.data_config = small
    return model

def with_mapping():
    model = plain()
    model.data_config = {"input_size": [3, 32, 32]}
    return model

def from_timm():
    return timm.create_model("test_vit", num_classes=5)

def needs(width):
    return nn.Linear(width, 1)

def fails():
    raise RuntimeError("no luck")

def text():
    return "model"

number = 3
"""


@pytest.fixture(autouse=True)
def users_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_models.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("plain", DataConfig()),
        ("with_config", DataConfig((3, 32, 32))),
        ("with_mapping", DataConfig((3, 32, 32))),
    ],
)
def test_factory_is_called_and_made_ready(name: str, config: DataConfig) -> None:
    model = load_model(f"users_models:{name}")
    assert model.data_config == config
    assert (model.name, model.classes, model.card) == (f"users_models:{name}", None, None)
    assert not model.module.training
    assert model.module[1].weight.dtype == torch.float32


def test_timms_config_is_read() -> None:
    model = load_model("users_models:from_timm")
    assert model.data_config == load_model("timm:test_vit").data_config


def test_checkpoint_goes_into_the_factorys_model(tmp_path: Path) -> None:
    weights = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    torch.save(weights.state_dict(), tmp_path / "x.pt")
    model = load_model("users_models:plain", tmp_path / "x.pt")
    x = torch.rand(2, 3, 2, 2)
    assert torch.equal(model.module(x), weights(x))


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        (
            "nowhere:f",
            {},
            "name must name a module that can be imported, got 'nowhere:f' .*nowhere",
        ),
        ("users_models:g", {}, "name must name a function of users_models, got 'users_models:g'"),
        ("users_models:number", {}, "name must name a function of users_models"),
        ("users_models:needs", {}, "name must name a factory that works without .*'width'"),
        ("users_models:fails", {}, r"works without arguments, got .* \(RuntimeError: no luck\)"),
        ("users_models:text", {}, "name must name a factory of an nn.Module, got .*: str"),
        ("users_models:plain", {"num_classes": 3}, "num_classes must be None .* got 3"),
        ("users_models:plain", {"pretrained": True}, "pretrained must be False .* got True"),
    ],
)
def test_refuses_what_is_no_factory(name: str, options: dict, text: str) -> None:
    with pytest.raises(ValueError, match=f"load_model: .*{text}"):
        load_model(name, **options)
