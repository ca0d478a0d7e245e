"""Decoding and augmentation."""

import pytest
import torch

from hybridquant.data import load_data
from training.photographs import (
    evaluation_config,
    plain_views,
    random_views,
    read_photographs,
    split,
)
from training.settings import Settings, Stage

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def decoded(request):
    path = request.path.parents[2] / "data" / "imagenette_calib.tar"
    return read_photographs(path, 224, CPU)


def settings(**changes):
    return Settings("mobilevit_xxs", (Stage(3, 32),), 32, **changes)


def test_evaluation_sees_what_the_package_gives(decoded, photographs):
    for size in (224, 128):
        data = load_data(photographs / "imagenette_calib.tar", evaluation_config(size))
        images, labels = next(data.batches(16))
        views = plain_views(decoded.images[:16], size)
        assert torch.equal(labels, decoded.labels[:16])
        # The package resizes with Pillow, to within a step of 1/255 in units of the deviation.
        assert (views - images).abs().max() < 0.025


def test_split_is_balanced_and_disjoint(decoded):
    training, held = split(decoded, 0.25, seed=3)
    assert (len(training), len(held)) == (96, 32)
    assert set(torch.bincount(held.labels).tolist()) <= {3, 4}
    everything = torch.cat([training.images, held.images]).flatten(1).double().sum(1).sort().values
    assert torch.equal(everything, decoded.images.flatten(1).double().sum(1).sort().values)
    again = split(decoded, 0.25, seed=3)[1]
    assert torch.equal(again.images, held.images)
    assert len(split(decoded, 0.0, seed=3)[1]) == 0


def test_views_differ_and_repeat_with_the_seed(decoded):
    views = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        views.append(random_views(decoded.images[:4], 32, settings()))
    assert views[0].shape == (4, 3, 32, 32)
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])
    assert not torch.equal(views[0][0], views[0][1])


def test_without_augmentation_a_view_is_the_photograph(decoded):
    torch.manual_seed(0)
    # The only crop of the whole area is the photograph itself; a crop may be turned down, never up.
    plain = settings(crop_scale=(1.0, 1.0), flip=0.0, color_jitter=0.0)
    square = random_views(decoded.images[:8], 64, plain)
    assert (
        square.mean((1, 2, 3)) - plain_views(decoded.images[:8], 64).mean((1, 2, 3))
    ).abs().max() < 0.2


def test_erasing_erases(decoded):
    torch.manual_seed(0)
    erased = random_views(decoded.images[:8], 32, settings(erasing=0.99, color_jitter=0.0))
    torch.manual_seed(0)
    whole = random_views(decoded.images[:8], 32, settings(color_jitter=0.0))
    assert ((erased != whole).flatten(1).any(1)).sum() >= 6


def test_numbered_labels_are_refused(tmp_path):
    import numpy as np

    np.savez(tmp_path / "a.npz", x=np.zeros((2, 8, 8, 3), np.uint8), y=np.array([0, 1]))
    with pytest.raises(ValueError, match="must have class folders"):
        read_photographs(tmp_path / "a.npz", 8, CPU)
