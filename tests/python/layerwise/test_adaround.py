"""AdaRound's variables: where they start, what they cost, where they end."""

import pytest
import torch
from torch import Tensor

from hybridquant.layerwise.adaround import SoftRounding, beta_at, h
from hybridquant.quantizers.affine import AffineFakeQuant


def quantizer(bits: int = 4, zero_point: float = 0.0) -> AffineFakeQuant:
    low = -(1 << (bits - 1)) if zero_point == 0 else 0
    module = AffineFakeQuant(low, low + (1 << bits) - 1, channel_axis=0, num_channels=3)
    module.set_parameters(torch.tensor([0.1, 0.2, 0.5]), torch.full([3], zero_point))
    return module


def weights(scale: float = 0.4) -> Tensor:
    return scale * torch.randn(3, 40, generator=torch.Generator().manual_seed(0))


def test_starts_as_the_float_weight() -> None:
    weight, module = weights(0.1), quantizer(8)
    rounding = SoftRounding(weight, weight, module)
    steps = weight / module.scale[:, None]
    torch.testing.assert_close(h(rounding.v), steps - steps.floor(), rtol=0, atol=1e-6)
    torch.testing.assert_close(rounding.soft(), weight, rtol=0, atol=1e-6)
    # Undecided weights go to the nearest neighbour.
    torch.testing.assert_close(rounding.hard(), module(weight), rtol=0, atol=1e-6)


@pytest.mark.parametrize("zero_point", [0.0, 5.0])
def test_codes_stay_on_the_grid(zero_point: float) -> None:
    module, weight = quantizer(4, zero_point), weights(3.0)  # most are far outside
    rounding = SoftRounding(weight, weight, module)
    with torch.no_grad():
        rounding.v.copy_(torch.randn(rounding.v.shape, generator=torch.Generator().manual_seed(1)))
    codes = rounding.hard() / module.scale[:, None] + zero_point
    assert codes.round().min() == module.qmin
    assert codes.round().max() == module.qmax
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-4)
    # The graph rounds again and finds nothing to do.
    torch.testing.assert_close(module(rounding.hard()), rounding.hard(), rtol=0, atol=1e-6)


def test_a_rounding_that_was_chosen_is_where_it_starts() -> None:
    weight, module = weights(0.3), quantizer(8)
    scale = module.scale[:, None]
    up = torch.rand(weight.shape, generator=torch.Generator().manual_seed(2)) < 0.5
    # GPTQ may go further than the nearest two.
    chosen = ((weight / scale).floor() + up + 2 * (torch.arange(40) == 7)) * scale
    rounding = SoftRounding(chosen, weight, module)
    torch.testing.assert_close(rounding.hard(), chosen, rtol=0, atol=1e-5)
    assert rounding.v.detach().abs().unique().tolist() == [1.5]
    with torch.no_grad():
        rounding.v.neg_()
    other = rounding.hard()
    far = torch.arange(40) == 7
    assert ((other - weight)[:, far].abs() < (chosen - weight)[:, far].abs()).all()
    assert ((other - weight).abs() <= scale * 2.001).all()


def test_the_regularizer_is_its_formula() -> None:
    weight, module = weights(0.1), quantizer(8)
    rounding = SoftRounding(weight, weight, module)
    share = h(rounding.v.detach())
    wanted = sum(1 - abs(2 * float(x) - 1) ** 3.5 for x in share.flatten())
    assert rounding.regularizer(3.5).item() == pytest.approx(wanted, rel=1e-5)
    with torch.no_grad():
        rounding.v.mul_(1e3)
    assert rounding.regularizer(2.0).item() == 0.0


def test_the_schedule() -> None:
    assert beta_at(0, 1000) == beta_at(199, 1000) == 0
    assert beta_at(200, 1000) == 20
    assert beta_at(600, 1000) == 11
    assert beta_at(999, 1000) == pytest.approx(2, abs=0.05)
