"""What holds for every observer in the registry."""

import pytest
import torch

from hybridquant.observers import OBSERVERS
from hybridquant.observers.parameters import SCALE_FLOOR
from hybridquant.types import QuantSpec

NAMES = ["ema", "entropy", "histogram", "minmax", "mse", "percentile", "percentile_l2"]
# More values than a row keeps exactly, so that histograms are used.
MANY = 5000
# These count all batches in one histogram, so batches may come in any order and cut.
STREAMING = ["entropy", "histogram", "mse", "percentile", "minmax"]


def make(name, channel_axis=None, **spec):
    spec.setdefault("granularity", "tensor" if channel_axis is None else "channel")
    return OBSERVERS[name](QuantSpec(observer=name, **spec), channel_axis)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def parameters(name, *batches, channel_axis=None, **spec):
    observer = make(name, channel_axis, **spec)
    for batch in batches:
        observer.observe(batch)
    return observer.quantization_parameters()


def same(left, right):
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_registry_holds_them_all():
    assert OBSERVERS.names() == NAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 8, 16])
def test_gives_legal_parameters(name, scheme, bits):
    x = normal(4, 3, 50, 30)
    for axis, count in ((None, 1), (1, 3), (-3, 3), (0, 4)):
        spec = QuantSpec(bits=bits, scheme=scheme)
        scale, zero_point = parameters(name, x, channel_axis=axis, bits=bits, scheme=scheme)
        assert scale.shape == zero_point.shape == (count,)
        assert bool(torch.isfinite(scale).all())
        assert bool((scale > 0).all())
        assert torch.equal(zero_point, zero_point.round().clamp(spec.qmin, spec.qmax))
        # No range is wider than the data, give or take the widening to zero.
        whole = parameters("minmax", x, channel_axis=axis, bits=bits, scheme=scheme)[0]
        assert bool((scale <= whole * (1 + 1e-6)).all())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_values", [100, MANY])
def test_one_sided_data_starts_at_the_end_code(name, num_values):
    x = normal(num_values).abs() + 0.25
    assert parameters(name, x)[1].item() == 0.0
    assert parameters(name, -x)[1].item() == 255.0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_values", [10, MANY])
def test_zero_and_constant_channels_stay_usable(name, num_values):
    constants = torch.tensor([0.0, 2.55, -2.55, 1e-30])
    x = constants[:, None].expand(4, num_values)
    scale, zero_point = parameters(name, x, channel_axis=0)
    torch.testing.assert_close(scale, torch.tensor([SCALE_FLOOR, 0.01, 0.01, SCALE_FLOOR]))
    assert zero_point.tolist() == [0.0, 0.0, 255.0, 0.0]
    scale, zero_point = parameters(name, x, channel_axis=0, include_zero=False)
    assert bool((scale >= SCALE_FLOOR).all())
    assert bool(((zero_point >= 0) & (zero_point <= 255)).all())


@pytest.mark.parametrize("name", ["ema", "minmax"])
def test_zero_point_overflow_is_reproduced_on_request(name):
    x = torch.linspace(5, 6, 100)
    scale, zero_point = parameters(name, x, include_zero=False)
    torch.testing.assert_close(scale, torch.tensor([1 / 255]))
    assert zero_point.item() == 0.0  # clamped from -1275: decodes to at most 1


@pytest.mark.parametrize("name", STREAMING)
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_order_and_cut_of_batches_do_not_matter(name, granularity):
    axis = None if granularity == "tensor" else 1
    # Batches of growing spread: the histogram's grid has to change on the way.
    batches = [normal(2, 3, MANY, seed=i) * 4.0**i for i in range(4)]
    expected = parameters(name, torch.cat(batches), channel_axis=axis)
    assert same(parameters(name, *batches, channel_axis=axis), expected)
    assert same(parameters(name, *reversed(batches), channel_axis=axis), expected)
    single = [image[None] for batch in batches for image in batch]
    assert same(parameters(name, *single, channel_axis=axis), expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("axis", [None, 1])
def test_threads_do_not_matter(name, axis):
    x = normal(8, 6, MANY)
    before = torch.get_num_threads()
    try:
        results = []
        for num_threads in (1, 2):
            torch.set_num_threads(num_threads)
            results.append(parameters(name, x, x * 2, channel_axis=axis))
    finally:
        torch.set_num_threads(before)
    assert same(*results)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_values", [300, MANY])
def test_a_channel_is_treated_as_if_alone(name, num_values):
    x = normal(num_values, 4) * torch.tensor([1.0, 100.0, 0.01, 5.0])
    scale, zero_point = parameters(name, x, channel_axis=-1)
    for channel in range(4):
        # Channels have coarser histograms than tensors, so compare channel with channel.
        alone = parameters(name, x[:, channel : channel + 1].repeat(1, 2), channel_axis=-1)
        assert same((scale[channel].expand(2), zero_point[channel].expand(2)), alone)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_float_types_count_as_float32(name, dtype):
    x = normal(2, MANY).to(dtype)
    assert same(parameters(name, x), parameters(name, x.to(torch.float32)))


@pytest.mark.parametrize("name", NAMES)
def test_layout_and_gradient_do_not_matter(name):
    x = normal(6, 10, 40)
    expected = parameters(name, x, channel_axis=2)
    strided = x.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    assert not strided.is_contiguous()
    assert same(parameters(name, strided, channel_axis=2), expected)
    assert same(parameters(name, x.clone().requires_grad_(), channel_axis=2), expected)


@pytest.mark.parametrize("name", NAMES)
def test_data_is_not_changed_or_held(name):
    x = normal(2, 100)
    before = x.clone()
    observer = make(name)
    observer.observe(x)
    assert torch.equal(x, before)
    expected = observer.quantization_parameters()
    x.mul_(1000.0)
    assert same(observer.quantization_parameters(), expected)


@pytest.mark.parametrize("name", NAMES)
def test_extreme_magnitudes_do_not_break(name):
    for magnitude in (1e-38, 1e-20, 1e20, 3e38):
        for num_values in (100, MANY):
            x = torch.linspace(-1, 1, num_values) * magnitude
            scale, _ = parameters(name, x, torch.zeros(3), x[:1])
            assert bool(torch.isfinite(scale).all())


def bad_values(num_nan, num_inf):
    x = torch.zeros(2, 50)
    x.view(-1)[:num_nan] = float("nan")
    x.view(-1)[num_nan : num_nan + num_inf] = float("-inf")
    return x


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("axis", [None, 0])
def test_values_that_are_not_finite_are_counted(name, axis):
    observer = make(name, axis)
    observer.observe(torch.ones(2, 7))
    before = observer.quantization_parameters()
    for num_nan, num_inf in ((3, 2), (1, 0), (0, 1)):
        text = f"x must be finite, got {num_nan} NaN and {num_inf} infinite of 100 values; check"
        with pytest.raises(ValueError, match=text):
            observer.observe(bad_values(num_nan, num_inf))
    assert same(observer.quantization_parameters(), before)


BAD_INPUTS = [
    (None, torch.zeros(0, 3), ValueError, r"at least one value, got shape \(0, 3\)"),
    (None, torch.zeros(3, dtype=torch.int32), TypeError, "floating point, got torch.int32"),
    (2, torch.zeros(3, 4), ValueError, r"channel axis 2, got shape \(3, 4\)"),
    (-3, torch.zeros(3, 4), ValueError, r"channel axis -3, got shape \(3, 4\)"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("axis", "x", "error", "text"), BAD_INPUTS)
def test_bad_inputs_are_refused(name, axis, x, error, text):
    with pytest.raises(error, match=text):
        make(name, axis).observe(x)


@pytest.mark.parametrize("name", NAMES)
def test_another_number_of_channels_is_refused(name):
    observer = make(name, 1)
    observer.observe(normal(2, 3, 4))
    with pytest.raises(ValueError, match=r"3 channels on axis 1 as before, got shape \(2, 4, 4\)"):
        observer.observe(normal(2, 4, 4))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_observed_is_an_error(name):
    with pytest.raises(RuntimeError, match=r"observe must be called before.*got no data"):
        make(name).quantization_parameters()


def test_axis_has_to_fit_the_granularity():
    with pytest.raises(ValueError, match="channel_axis must be an axis for granularity 'channel'"):
        make("minmax", None, granularity="channel")
    with pytest.raises(ValueError, match="channel_axis must be None for granularity 'tensor'"):
        make("minmax", 1, granularity="tensor")


BAD_OPTIONS = [
    ("minmax", {"momentum": 0.1}, "options must be known, got 'momentum'; it has none"),
    ("ema", {"momentun": 0.1}, "did you mean momentum?"),
    ("ema", {"momentum": 1.5}, r"momentum must be a number in \[0.0, 1.0\], got 1.5"),
    ("ema", {"momentum": True}, "momentum must be a number in .*, got True"),
    ("ema", {"momentum": float("nan")}, "momentum must be a number in .*, got nan"),
    ("mse", {"candidates": 2.0}, r"candidates must be an integer in \[1, 10000\], got 2.0"),
    ("mse", {"candidates": 0}, "candidates must be an integer"),
    ("mse", {"exponent": "2"}, "exponent must be a number in .*, got '2'"),
    ("percentile", {"percentile": 99.999}, r"percentile must be a number in \[0.5, 1.0\]"),
    ("percentile", {"percentile": None}, "percentile must be a number"),
    ("percentile", {"percentile": 0.9, "upper": 0.9}, "either percentile or lower and upper"),
    ("histogram", {"round": 2}, "did you mean rounds?"),
    ("entropy", {"candidates": 0}, "candidates must be an integer"),
]


@pytest.mark.parametrize(("name", "options", "text"), BAD_OPTIONS)
def test_bad_options_are_refused(name, options, text):
    with pytest.raises(ValueError, match=text):
        make(name, observer_options=options)
    with pytest.raises(ValueError, match=text):
        OBSERVERS[name].check_options(options)
