"""affine_parameters: scale and zero-point from a range."""

import pytest
import torch

from hybridquant.observers import affine_parameters
from hybridquant.observers.parameters import SCALE_FLOOR, SMALLEST_SCALE
from hybridquant.types import QuantSpec

BITS = [2, 3, 4, 5, 6, 7, 8, 16]

# low, high, bits, scheme, include_zero, scale, zero_point
CASES = [
    (-1.0, 1.55, 8, "asymmetric", True, 0.01, 100.0),
    (0.0, 2.55, 8, "asymmetric", True, 0.01, 0.0),  # one-sided: z = qmin
    (-2.55, 0.0, 8, "asymmetric", True, 0.01, 255.0),  # one-sided: z = qmax
    (1.0, 2.55, 8, "asymmetric", True, 0.01, 0.0),  # min > 0: the range is widened to zero
    (-2.55, -1.0, 8, "asymmetric", True, 0.01, 255.0),
    (5.0, 6.0, 8, "asymmetric", False, 1 / 255, 0.0),  # overflow: the ideal z is -1275
    (-6.0, -5.0, 8, "asymmetric", False, 1 / 255, 255.0),  # mirror case: the ideal z is 1530
    (-1.0, 1.55, 8, "asymmetric", False, 0.01, 100.0),  # no difference when zero is inside
    (-1.27, 0.5, 8, "symmetric", True, 0.01, 0.0),
    (-0.5, 1.27, 8, "symmetric", True, 0.01, 0.0),
    (0.63, 1.27, 8, "symmetric", False, 0.01, 0.0),  # include_zero does not touch symmetric
    (-3.0, 1.0, 2, "symmetric", True, 3.0, 0.0),
    (-0.5, 2.5, 2, "asymmetric", True, 1.0, 0.0),  # -low / scale = 0.5 is a tie: to even, 0
    (-1.5, 1.5, 2, "asymmetric", True, 1.0, 2.0),  # 1.5 is a tie: to even, 2
    (-32767.0, 32768.0, 16, "asymmetric", True, 1.0, 32767.0),
    (0.0, 0.0, 8, "asymmetric", True, SCALE_FLOOR, 0.0),  # all zero
    (0.0, 0.0, 4, "symmetric", True, SCALE_FLOOR, 0.0),
    (0.0, 2.55e-12, 8, "asymmetric", True, 1e-14, 0.0),  # tiny, and not rounded to nothing
    (3.0, 3.0, 8, "asymmetric", False, SCALE_FLOOR, 0.0),  # constant, zero left out
    (3.0, 3.0, 8, "asymmetric", True, 3 / 255, 0.0),
    (-3e38, 3e38, 8, "asymmetric", True, 6e38 / 255, 128.0),  # high - low overflows float32
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values(case):
    low, high, bits, scheme, include_zero, scale, zero_point = case
    spec = QuantSpec(bits=bits, scheme=scheme, include_zero=include_zero)
    got_scale, got_zero_point = affine_parameters(torch.tensor([low]), torch.tensor([high]), spec)
    assert got_scale.dtype == got_zero_point.dtype == torch.float32
    torch.testing.assert_close(got_scale, torch.tensor([scale]), rtol=1e-6, atol=0.0)
    assert got_zero_point.item() == zero_point


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric"])
def test_rounds_trip_within_half_a_step(bits, scheme):
    spec = QuantSpec(bits=bits, scheme=scheme)
    generator = torch.Generator().manual_seed(bits)
    ends = torch.randn(50, 2, generator=generator)
    low, high = ends.amin(dim=1), ends.amax(dim=1)
    scale, zero_point = affine_parameters(low, high, spec)
    fraction = torch.linspace(0, 1, 999, dtype=torch.float64)
    x = low[:, None].double() + fraction * (high - low)[:, None]
    step, z = scale[:, None].double(), zero_point[:, None].double()
    decoded = ((x / step).round() + z).clamp(spec.qmin, spec.qmax).sub(z).mul(step)
    # 1e-6 relative: the scale is rounded to float32, and so is the last code's value.
    slack = 1e-6 * (high - low).double()[:, None]
    assert bool(((x - decoded).abs() <= step / 2 + slack).all())


def test_overflow_saturates_where_zero_is_left_out():
    low, high = torch.tensor([5.0]), torch.tensor([6.0])
    x = torch.linspace(5, 6, 100)
    for include_zero, largest in ((False, 1.0 + 1e-6), (True, 6.0 + 1e-6)):
        spec = QuantSpec(include_zero=include_zero)
        scale, zero_point = affine_parameters(low, high, spec)
        decoded = torch.fake_quantize_per_tensor_affine(x, scale, zero_point.int(), 0, 255)
        assert decoded.max() <= largest
        if include_zero:
            assert (decoded - x).abs().max() <= scale.item() / 2 * (1 + 1e-5)


def test_symmetric_scale_is_the_float32_quotient():
    high = torch.randn(1000, generator=torch.Generator().manual_seed(0)).abs()
    for bits in BITS:
        spec = QuantSpec(bits=bits, scheme="symmetric")
        scale, _ = affine_parameters(-high, high, spec)
        assert torch.equal(scale, (high / spec.qmax).clamp(min=SMALLEST_SCALE))


@pytest.mark.parametrize(
    ("low", "high"), [(1.0, 0.0), (float("nan"), 1.0), (0.0, float("inf")), (float("-inf"), 0.0)]
)
def test_rejects_what_is_no_range(low, high):
    with pytest.raises(ValueError, match="affine_parameters: low must be finite and at most high"):
        affine_parameters(torch.tensor([low]), torch.tensor([high]), QuantSpec())
