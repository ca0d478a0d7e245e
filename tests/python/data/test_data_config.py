"""Ranges of the preprocessing fields."""

from typing import Any

import pytest

from hybridquant.data import DataConfig


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("input_size", (3, 224), "three positive whole numbers"),
        ("input_size", (3, 0, 224), "three positive whole numbers"),
        ("interpolation", "cubic", "one of bicubic, bilinear"),
        ("crop_mode", "middle", "one of border, center, squash"),
        ("crop_pct", 0.0, "above 0 and at most 1"),
        ("crop_pct", float("nan"), "above 0 and at most 1"),
        ("mean", (0.5,), "3 finite numbers"),
        ("mean", 0.5, "a tuple"),
        ("std", (0.2, 0.2, 0.0), "3 finite numbers above 0"),
    ],
)
def test_rejects_fields_out_of_range(field: str, value: Any, text: str) -> None:
    with pytest.raises(ValueError, match=f"DataConfig: {field} must be {text}.*got") as error:
        DataConfig(**{field: value})
    assert repr(value) in str(error.value)


def test_from_mapping_takes_lists_and_keeps_defaults() -> None:
    config = DataConfig.from_mapping({"input_size": [3, 96, 64], "crop_pct": None, "url": "x"})
    assert config == DataConfig(input_size=(3, 96, 64))
