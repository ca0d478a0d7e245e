"""Values that the papers' formulas and the specs give, one quantizer after the other."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hybridquant.quantizers import Setting
from hybridquant.quantizers.adalog import AdaLogFakeQuant
from hybridquant.quantizers.apot import ApotFakeQuant
from hybridquant.quantizers.log2 import Log2FakeQuant
from hybridquant.quantizers.log_sqrt2 import LogSqrt2FakeQuant
from hybridquant.quantizers.pot import PotFakeQuant
from hybridquant.quantizers.ptf import PtfFakeQuant
from hybridquant.quantizers.shift_uniform_log2 import ShiftUniformLog2FakeQuant
from hybridquant.quantizers.twin_gelu import TwinGeluFakeQuant
from hybridquant.quantizers.twin_softmax import TwinSoftmaxFakeQuant
from hybridquant.samples import Samples

ONE = torch.ones(1)


def test_log2_rounds_the_exponent_and_ends_in_zero():
    module = Log2FakeQuant(4)
    module.use(Setting(ONE))
    x = torch.tensor([1.0, 0.708, 0.707, 2.0**-15, 2.0**-15.4, 2.0**-15.6, 0.0, 5.0])
    assert module(x).tolist() == [1, 1, 0.5, 2**-15, 2**-15, 0, 0, 1]
    strict = Log2FakeQuant(4, zero="last")
    strict.use(Setting(ONE))
    assert strict.levels.numel() == 16
    assert strict(x).tolist() == [1, 1, 0.5, 0, 0, 0, 0, 1]


def test_lis_takes_the_next_code_from_three_halves_on():
    # R: 1, 2, 3 -> 4, 5, 6 -> 8, 11, 12 -> 16, 23, 24 -> 32, 47, 48 -> 64
    ratios = [1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 23, 24, 45, 46, 47, 48, 95, 96, 191, 192]
    codes = [0, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 5, 5, 6, 6, 7, 7, 8]
    module = Log2FakeQuant(4, rounding="lis")
    module.use(Setting(ONE))
    x = 1 / torch.tensor(ratios, dtype=torch.float32)
    assert module(x).tolist() == [2.0**-code for code in codes]
    # Above, 2^k sqrt 2 would be the border: 5.6 for 6, and 45.3 for 46.
    module = Log2FakeQuant(4)
    module.use(Setting(ONE))
    assert module(1 / torch.tensor([5.0, 6.0, 45.0, 46.0])).tolist() == [
        1 / 4,
        1 / 8,
        1 / 32,
        1 / 64,
    ]


def test_log_sqrt2_has_a_shift_and_a_parity():
    module = LogSqrt2FakeQuant(4)
    scale = 0.75
    module.use(Setting(ONE * scale))
    x = torch.logspace(-14, 1, 3000, base=2.0)
    code = torch.round(-2 * (x.double() / scale).log2()).clamp(min=0)
    # As the specs have it: a shift by ceil(q / 2), times the square root of 2 if q is odd.
    expected = scale * 2 ** -torch.ceil(code / 2) * torch.where(code % 2 == 1, math.sqrt(2), 1.0)
    expected = expected.where(code < 16, 0.0)
    torch.testing.assert_close(module(x).double(), expected, rtol=1e-6, atol=0)


def test_adalog_is_a_shift_and_a_table():
    module = AdaLogFakeQuant(4)
    q = 50
    module.use(Setting(ONE, {"q": q}))
    # T = 2^-((code q mod 37) / 37) in steps of 1 / 30.
    table = [round(2 ** -((code * q % 37) / 37) * 30) / 30 for code in range(16)]
    values = [2.0 ** -(code * q // 37) * entry for code, entry in enumerate(table)]
    assert table[:4] == [1.0, 24 / 30, 18 / 30, 29 / 30]
    torch.testing.assert_close(module.levels[1:].flip(0), torch.tensor(values))
    x = torch.rand(1000, generator=torch.Generator().manual_seed(0)) ** 4
    code = torch.round(-x.double().log2() * 37 / q).clamp(min=0).long()
    expected = torch.tensor([*values, 0.0])[code.clamp(max=16)]
    torch.testing.assert_close(module(x), expected)
    with pytest.raises(ValueError, match=r"q must be an integer in \[10, 137\], got 9"):
        module.use(Setting(ONE, {"q": 9}))


def test_adalog_of_base_2_is_log2_and_of_sqrt2_its_twin():
    x = torch.rand(1000, generator=torch.Generator().manual_seed(0)) ** 4
    for q, other in ((37, Log2FakeQuant(4)), (74, None)):
        module = AdaLogFakeQuant(4)
        module.use(Setting(ONE, {"q": q}))
        if other is not None:
            other.use(Setting(ONE))
            assert torch.equal(module(x), other(x))
    # Base 4 has ties: 2^-1 is code 0.5, which rounds to the even 0, 2^-3 is code 1.5, so 2.
    assert module(torch.tensor([0.5, 0.125, 2.0**-5])).tolist() == [1.0, 4.0**-2, 4.0**-2]


def test_adalog_takes_the_shift_off_again():
    module = AdaLogFakeQuant(4, shift=True)
    module.use(Setting(ONE * 2, {"q": 37}))
    shift = 0.16997124
    x = torch.tensor([-shift, -0.1, 0.0, 0.5, 1.9])
    t = (x.double() + shift) / 2
    expected = 2 * torch.exp2(-torch.round(-t.clamp(min=2.0**-99).log2()).clamp(min=0)) - shift
    expected[0] = -shift
    torch.testing.assert_close(module(x).double(), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("extra_level", [False, True])
def test_shift_uniform_log2(extra_level: bool):
    module = ShiftUniformLog2FakeQuant(3, extra_level)
    eta, low, high = 0.01, math.log2(0.01), math.log2(1.01)
    module.use(Setting(ONE, {"eta": eta, "low": low, "high": high}))
    assert module.levels.numel() == 8 + extra_level
    x = torch.linspace(0, 2, 5001)
    step = (high - low) / 7
    z = round(-low / step)
    code = (torch.round((x.double() + eta).log2() / step) + z).clamp(0, 7 + extra_level)
    expected = torch.exp2(torch.round((code - z) * step)) - eta
    torch.testing.assert_close(module(x).double(), expected, rtol=1e-6, atol=1e-8)


def test_twin_softmax_selects_a_range():
    module = TwinSoftmaxFakeQuant(4)
    split = 2.0**-3
    module.use(Setting(ONE, {"split": split}))
    x = torch.cat([torch.linspace(0, 1.2, 5001), torch.tensor([split - 1e-8, split])])
    fine = torch.round(x.double() * 7 / split).clamp(0, 7) * split / 7
    coarse = torch.round(x.double() * 7).clamp(0, 7) / 7
    expected = torch.where(x >= split, coarse, fine)
    torch.testing.assert_close(module(x).double(), expected, rtol=1e-6, atol=0)
    # The released code adds both: 0.125 + 3 / 7 for 0.45.
    assert float(module(torch.tensor([0.45]))) == pytest.approx(3 / 7)
    # Just from the split on, the coarse range's nearest level.
    assert float(module(torch.tensor([split]))) == pytest.approx(1 / 7)
    # A split so small that the coarse range rounds its first values to 0.
    module.use(Setting(ONE, {"split": 2.0**-6}))
    assert module(torch.tensor([2.0**-6 - 1e-9, 2.0**-6])).tolist() == pytest.approx([2.0**-6, 0])


def test_twin_softmax_can_add_both_ranges():
    quantizer = TwinSoftmaxFakeQuant(4, branches="add")
    split, last = 0.25, 7
    quantizer.use(Setting(torch.ones(1), {"split": split}))
    x = torch.linspace(0, 1, 1001)
    coarse = (x.clamp(min=split) * last).round() / last
    fine = (x.clamp(max=split) / split * last).round() / last * split
    torch.testing.assert_close(quantizer(x), coarse + fine)


def test_twin_gelu_has_fixed_negative_steps():
    module = TwinGeluFakeQuant(4)
    module.use(Setting(ONE * 0.3))
    x = torch.linspace(-0.3, 3, 5001)
    step = 0.16997124 / 8
    negative = torch.round(x.double() / step).clamp(-8, 0) * step
    positive = torch.round(x.double() / 0.3).clamp(0, 7) * 0.3
    y, expected = module(x).double(), torch.where(x < 0, negative, positive)
    is_edge = ((x.double() / 0.3) % 1 - 0.5).abs() < 1e-5
    torch.testing.assert_close(y[~is_edge], expected[~is_edge], rtol=1e-6, atol=1e-7)
    assert module.levels.numel() == 16


def test_pot_levels():
    module = PotFakeQuant(4)
    module.use(Setting(ONE * 3))
    powers = [2.0**-p for p in range(7)]
    assert module.levels.tolist() == [*(-p for p in powers), 0.0, *reversed(powers)]
    x = torch.tensor([3.0, -3.0, 1.2, -1.0, 9.0, 0.03, 0.0])
    torch.testing.assert_close(module(x), torch.tensor([3, -3, 1.5, -0.75, 3, 0, 0]))


def test_apot_forms():
    def magnitudes(form: str, int8: bool = False) -> Tensor:
        module = ApotFakeQuant(8, form, int8=int8)
        module.use(Setting(ONE))
        return module.levels[module.levels >= 0]

    assert len(magnitudes("1+3+3")) == 30
    assert len(magnitudes("1+4+3")) == 94
    assert float(magnitudes("1+3+3")[-1]) == 1.0
    assert float(magnitudes("1+3+3", int8=True)[-1]) == 0.75
    assert magnitudes("1+2+1").tolist() == [k / 16 for k in (0, 1, 2, 3, 4, 6, 8, 10)]
    expected = sorted({a + b for a in (0, 1, 1 / 4, 1 / 16) for b in (0, 1 / 2, 1 / 8, 1 / 32)})
    assert magnitudes("1+2+2").tolist() == expected
    assert len(expected) == 16


def test_apot_takes_the_nearest_level_and_of_two_the_one_nearer_zero():
    module = ApotFakeQuant(4)
    module.use(Setting(ONE))
    x = torch.tensor([5 / 16, -5 / 16, 0.3126, -0.3126, 9.0])
    assert module(x).tolist() == [0.25, -0.25, 0.375, -0.375, 0.625]


# Mean squared errors that the specs measured on unit-variance filters of 256 weights.
ERRORS = [
    ("normal", "apot", 3.2e-3),
    ("laplace", "apot", 3.0e-3),
    ("uniform", "apot", 3.2e-3),
    ("normal", "pot", 3.4e-2),
    ("laplace", "pot", 3.1e-2),
    ("uniform", "pot", 2.5e-2),
]


@pytest.mark.parametrize(("name", "kind", "expected"), ERRORS)
def test_errors_are_those_of_the_specs(name: str, kind: str, expected: float):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(400, 256, generator=generator)
    if name == "laplace":
        uniform = torch.rand(400, 256, generator=generator) - 0.5
        rows = -uniform.sign() * (1 - 2 * uniform.abs()).clamp(min=1e-7).log() / math.sqrt(2)
    if name == "uniform":
        rows = (torch.rand(400, 256, generator=generator) - 0.5) * math.sqrt(12)
    module = (
        ApotFakeQuant(8, "1+3+3", num_channels=400)
        if kind == "apot"
        else PotFakeQuant(8, num_channels=400)
    )
    module.calibrate(Samples.of(rows))
    error = float((module(rows) - rows).square().mean())
    # Larger scales than those of the specs are tried, which helps even distributions.
    assert 0.7 * expected < error < 1.15 * expected


def test_ptf_has_shifts_of_one_scale():
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([16.0, 8.0, 4.0, 2.0, 1.0, 0.5])
    rows = torch.rand(6, 4000, generator=generator) * spread[:, None] - 0.25 * spread[:, None]
    module = PtfFakeQuant(0, 255, 1, 6)
    module.calibrate(Samples.of(rows))
    low, high = float(rows.min()), float(rows.max())
    s8 = (high - low) / 255
    assert (module.scale / s8).tolist() == pytest.approx([1, 0.5, 0.25, 0.125, 0.125, 0.125])
    assert module.zero_point.unique().tolist() == [round(-low / s8)]
    y = module(rows.T.contiguous())
    s1 = s8 / 8
    for channel, alpha in enumerate([3, 2, 1, 0, 0, 0]):
        step = 2**alpha * s1
        z = round(-low / s8)
        q = (torch.round(rows[channel].double() / step) + z).clamp(0, 255)
        torch.testing.assert_close(
            y[:, channel].double(), (q - z) * step, rtol=1e-5, atol=step * 1.01
        )
    again = PtfFakeQuant(0, 255, 1, 6)
    again.use(module.setting())
    assert torch.equal(again.scale, module.scale)
    with pytest.raises(ValueError, match="1, 2, 4 or 8 times the least"):
        again.use(Setting(module.scale * torch.arange(1, 7), {}, module.zero_point))
    with pytest.raises(ValueError, match="one for all channels"):
        again.use(Setting(module.scale, {}, torch.arange(6.0)))
