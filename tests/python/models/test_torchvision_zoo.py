"""torchvision's preprocessing, pixel for pixel."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models

from hybridquant.data import ImageData
from hybridquant.data.source import Source
from hybridquant.models import torchvision_zoo

NAMES = ["mobilenet_v2", "mobilenet_v3_small", "vit_b_16", "swin_t", "swin_v2_t", "inception_v3"]


# Crops of 224 of 232 or 256, 256 of 260, 299 of 342; bilinear and bicubic.
@pytest.mark.parametrize("name", NAMES)
def test_preprocessing_equals_torchvisions_own(name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (331, 457, 3), np.uint8)
    config = torchvision_zoo.data_config(name, torch.nn.Identity())
    source = Source(["noise"], None, [pixels].__getitem__)
    image = next(ImageData(source, config, None, None, "").batches(1))[0][0]
    expected = models.get_model_weights(name).DEFAULT.transforms()(Image.fromarray(pixels))
    assert torch.equal(image, expected)


def test_every_crop_survives_the_rounding() -> None:
    for name in torchvision_zoo.names():
        preset = models.get_model_weights(name).DEFAULT.transforms()
        config = torchvision_zoo.data_config(name, torch.nn.Identity())
        assert int(config.input_size[1] / config.crop_pct) == preset.resize_size[0], name
