"""timm's preprocessing comes through."""

import pytest

from hybridquant.data import DataConfig
from hybridquant.models import load_model

HALF = (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        (
            "mobilevit_xxs",
            DataConfig((3, 256, 256), "bicubic", 0.9, "center", (0.0,) * 3, (1.0,) * 3),
        ),
        ("efficientvit_b0", DataConfig((3, 224, 224), "bicubic", 0.95)),
        ("vit_tiny_patch16_224", DataConfig((3, 224, 224), "bicubic", 0.9, "center", HALF, HALF)),
    ],
)
def test_config_is_timms(name: str, config: DataConfig) -> None:
    assert load_model(name).data_config == config
