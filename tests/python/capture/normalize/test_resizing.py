"""Resizing, by size or by factor."""

import pytest
import torch.nn.functional as F

CASES = [
    ("bilinear", {"size": (5, 7), "mode": "bilinear"}, ["resize_bilinear"]),
    ("aligned", {"size": 16, "mode": "bilinear", "align_corners": True}, ["resize_bilinear"]),
    ("by factor", {"scale_factor": 1.5, "mode": "bilinear"}, ["resize_bilinear"]),
    ("smooth", {"size": 5, "mode": "bilinear", "antialias": True}, ["resize_bilinear"]),
    ("bicubic", {"scale_factor": 2, "mode": "bicubic"}, ["resize_bicubic"]),
    ("smooth bicubic", {"size": 5, "mode": "bicubic", "antialias": True}, ["resize_bicubic"]),
    ("nearest", {"scale_factor": 2}, ["resize_nearest"]),
    ("same size", {"size": 8, "mode": "bilinear"}, []),
]


@pytest.mark.parametrize(("options", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_resizing(check, options, expected):
    assert check(lambda x: F.interpolate(x, **options)).kinds == expected
