"""Random crops and flips."""

import numpy as np
import pytest
import torch

from hybridquant.data import DataConfig, load_data
from hybridquant.data.random_views import random_views

CONFIG = DataConfig((3, 16, 16), mean=(0.0,) * 3, std=(1.0,) * 3)


def source(tmp_path, x, y=None):
    labels = {} if y is None else {"y": y}
    np.savez(tmp_path / "images.npz", x=x, **labels)
    return load_data(tmp_path / "images.npz", CONFIG)


@pytest.fixture
def ramp(tmp_path):
    """Return photographs whose red grows to the right, whose green grows downwards."""
    x = np.zeros((6, 40, 60, 3), np.uint8)
    x[..., 0], x[..., 1] = 4 * np.arange(60), 6 * np.arange(40)[:, None]
    return source(tmp_path, x, np.arange(6))


def views(data, positions=range(6), area=0.3, flip=0.5, seed=(0, 0)):
    return random_views(data, positions, area=area, flip=flip, seed=seed)


def test_a_view_depends_on_its_seed_and_position_alone(ramp):
    all_views, labels = views(ramp)
    assert all_views.shape == (6, 3, 16, 16)
    assert labels.tolist() == [0, 1, 2, 3, 4, 5]
    some, some_labels = views(ramp, [4, 1])
    assert torch.equal(some, all_views[[4, 1]])
    assert some_labels.tolist() == [4, 1]
    assert not torch.equal(views(ramp, seed=(0, 1))[0], all_views)
    assert len({view.sum().item() for view in all_views}) == 6


def test_views_are_parts_of_the_photograph_mirrored_or_not(ramp):
    plain, _ = views(ramp, flip=0.0)
    assert bool((plain[:, 0].diff(dim=-1) >= 0).all())
    assert bool((plain[:, 1].diff(dim=-2) >= 0).all())
    mirrored, _ = views(ramp, flip=1.0)
    assert torch.equal(mirrored, plain.flip(-1))
    # Red spans the view's width, green its height, each in pixels of the photograph.
    width = (plain[:, 0].amax((1, 2)) - plain[:, 0].amin((1, 2))) * 255 / 4 * 16 / 15
    height = (plain[:, 1].amax((1, 2)) - plain[:, 1].amin((1, 2))) * 255 / 6 * 16 / 15
    shares = width * height / (40 * 60)
    assert bool(((shares > 0.25) & (shares < 1.05)).all())
    assert bool((shares < 0.95).any())


def test_preprocessed_images_are_refused(tmp_path):
    data = source(tmp_path, np.zeros((2, 3, 16, 16), np.float32))
    with pytest.raises(ValueError, match=r"must be a photograph or uint8 .* floats in x\[1\]"):
        views(data, [1])
