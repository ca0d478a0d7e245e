"""expand_batch against a plain loop over images."""

import pytest
import torch

from hybridquant.capture.functions import expand_batch

CASES = [((1, 2, 3), 0, 1), ((4, 2), 0, 4), ((5, 1, 2), 1, 1), ((5, 3, 2), 1, 3)]


@pytest.mark.parametrize(("shape", "axis", "factor"), CASES)
@pytest.mark.parametrize("batch", [1, 3])
def test_expand_batch(shape, axis, factor, batch):
    constant = torch.randn(shape)
    got = expand_batch(constant, torch.zeros(batch, 7), axis, factor)
    assert torch.equal(got, torch.cat([constant] * batch, axis))
