"""The graph under rewriting."""

import torch
from torch import fx

from hybridquant.capture.draft import Draft


def test_new_constants_go_where_the_images_are():
    draft = Draft(fx.Graph(), {}, torch.device("meta"))
    draft.constant("places", torch.arange(3))
    assert draft.constants["places"].device.type == "meta"
