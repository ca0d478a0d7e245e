"""What holds for every quantizer with levels."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from level_cases import CASES, DATA, LevelCase
from torch import Tensor

from hybridquant.ops.reference import fake_quant_levels_ref
from hybridquant.quantizers import QUANTIZERS, Setting
from hybridquant.quantizers.level_fake_quant import LevelFakeQuant
from hybridquant.samples import Samples
from hybridquant.types import QuantSpec

BOTH = [(case, bits) for case in CASES for bits in case.bits]
IDS = [f"{case}-{bits}" for case, bits in BOTH]


def every_quantizer_with_levels() -> set[str]:
    return {name for name in QUANTIZERS.names() if issubclass(QUANTIZERS[name], LevelFakeQuant)}


def test_every_quantizer_with_levels_has_a_case():
    assert {case.name for case in CASES} == every_quantizer_with_levels()


def formula(module: LevelFakeQuant, x: Tensor) -> Tensor:
    """Return the values of the paper's formula in float64, of t as float32 has it."""
    setting = module.setting()
    scale = setting.scale if setting.scale.numel() == 1 else setting.scale[:, None]
    t = (x * scale.reciprocal()).double()
    return module.levels_of(setting)[module.index_of(t, setting)] * scale.double()


def edge_values(module: LevelFakeQuant) -> Tensor:
    """Return the neighbours of every threshold and a dense grid, in units of a scale of 1."""
    edges = module.thresholds
    near = [edges]
    for direction in (-torch.inf, torch.inf):
        following = edges
        for _ in range(3):
            following = torch.nextafter(following, torch.tensor(direction))
            near.append(following)
    grid = torch.linspace(float(module.levels[0]) - 1, float(module.levels[-1]) + 1, 20_001)
    tiny = torch.logspace(-40, 3, 5000, base=2.0)
    x = torch.cat([*near, grid, tiny, -tiny, torch.zeros(1)])
    return x[x.isfinite()]


@pytest.mark.parametrize(("case", "bits"), BOTH, ids=IDS)
def test_thresholds_are_those_of_the_formula(case: LevelCase, bits: int):
    module = case.calibrated(bits)
    x = edge_values(module)
    setting = module.setting()
    index = torch.bucketize(x, module.thresholds, right=True)
    expected = module.index_of(x.double(), setting)
    is_same = module.levels[index] == module.levels[expected]
    assert bool(((index == expected) | is_same).all())
    torch.testing.assert_close(
        module.levels.double(), module.levels_of(setting), rtol=2**-23, atol=2**-149
    )


@pytest.mark.parametrize(("case", "bits"), BOTH, ids=IDS)
def test_the_module_is_the_formula_and_the_reference(case: LevelCase, bits: int):
    module, rows = case.calibrated(bits), case.rows()
    y = module(rows)
    expected = fake_quant_levels_ref(rows, module.scale, module.levels, module.thresholds)
    assert torch.equal(y, expected)
    torch.testing.assert_close(y.double(), formula(module, rows), rtol=2**-22, atol=1e-38)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_calibration_takes_the_candidate_with_the_least_error(case: LevelCase):
    bits, rows = case.bits[0], case.rows()
    module = case.calibrated(bits)
    error = float((module(rows) - rows).double().square().sum())
    other = case.module(bits)
    assert isinstance(other, LevelFakeQuant)
    candidates = list(other.candidates(Samples.of(rows)))
    for candidate in candidates[:: max(1, len(candidates) // 40)]:
        other.use(candidate)
        theirs = float((other(rows) - rows).double().square().sum())
        assert error <= theirs * (1 + 1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_calibration_is_deterministic_and_a_setting_comes_back(case: LevelCase):
    bits = case.bits[-1]
    module, again = case.calibrated(bits), case.calibrated(bits)
    restored = case.module(bits)
    assert isinstance(restored, LevelFakeQuant)
    restored.use(module.setting())
    loaded = case.module(bits)
    loaded.load_state_dict(module.state_dict())
    for other in (again, restored, loaded, copy.deepcopy(module)):
        state = other.state_dict()
        for name, value in module.state_dict().items():
            assert torch.equal(state[name], value), name


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_script_trace_and_export(case: LevelCase, enabled: bool):
    module, x = case.calibrated(case.bits[0]), DATA[case.data]()
    module.enabled = enabled
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(module), buffer)
    loaded = torch.jit.load(io.BytesIO(buffer.getvalue()))
    traced = torch.jit.trace(module, x)
    program = torch.export.export(module, (x,))
    for other in (loaded, traced, program.module()):
        assert torch.equal(other(x), module(x))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients(case: LevelCase):
    module, x = case.calibrated(case.bits[0]), DATA[case.data]()
    module.requires_grad_()
    x.requires_grad_()
    module(x).sum().backward()
    assert module.scale.grad is not None
    assert bool(module.scale.grad.isfinite().all())
    # Straight-through. Of GELU's values half are negative, outside of what log2 has.
    assert set(x.grad.unique().tolist()) <= {0.0, 1.0}
    assert float(x.grad.mean()) > (0.5 if case.name == "log2" else 0.9)
    torch.library.opcheck(
        torch.ops.hybridquant.fake_quant_levels,
        (x, module.scale, module.levels, module.thresholds, module.channel_axis, 1.0),
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_new_module_asks_for_calibration(case: LevelCase):
    module = case.module(case.bits[0])
    with pytest.raises(ValueError, match="calibrate first"):
        module(DATA[case.data]())
    module.enabled = False
    x = DATA[case.data]()
    assert module(x) is x


BAD_SPECS = [
    (QuantSpec(bits=16, quantizer="log2"), "quantizer log2: bits must be 8 or fewer, got 16"),
    (QuantSpec(quantizer="pot"), "pot: scheme must be symmetric, got asymmetric"),
    (
        QuantSpec(quantizer="twin_gelu", granularity="channel"),
        "twin_gelu: granularity must be tensor, got channel",
    ),
    (QuantSpec(quantizer="ptf"), "ptf: granularity must be channel, got tensor"),
    (
        QuantSpec(bits=4, scheme="symmetric", quantizer="apot", quantizer_options={"form": "3+3"}),
        "bits must be at least 7 for the form 3+3 with a sign, got 4",
    ),
    (
        QuantSpec(quantizer="adalog", quantizer_options={"shift": 1}),
        "shift must be one of False, True, got 1",
    ),
    (
        QuantSpec(quantizer="log2", quantizer_options={"round": "log"}),
        "got 'round'; unknown option 'round'; did you mean rounding?",
    ),
]


@pytest.mark.parametrize(("spec", "text"), BAD_SPECS, ids=[text for _, text in BAD_SPECS])
def test_what_a_quantizer_cannot_do_is_an_error(spec: QuantSpec, text: str):
    with pytest.raises(ValueError) as error:
        QUANTIZERS[spec.quantizer].from_spec(spec, 1, 4)
    assert text in str(error.value)


def test_bad_settings():
    module = CASES[0].module(4)
    assert isinstance(module, LevelFakeQuant)
    with pytest.raises(ValueError, match=r"scale must have shape \(1,\), got \(2,\)"):
        module.use(Setting(torch.ones(2)))
    with pytest.raises(ValueError, match="scale must be positive, finite"):
        module.use(Setting(torch.zeros(1)))
    split = next(case for case in CASES if case.name == "twin_softmax").module(4)
    assert isinstance(split, LevelFakeQuant)
    with pytest.raises(ValueError, match="setting must have the choice 'split'"):
        split.use(Setting(torch.ones(1)))
    with pytest.raises(ValueError, match="must be calibrated before"):
        split.set_parameters(torch.ones(1), torch.zeros(1))
    with pytest.raises(ValueError, match="zero_point must be 0"):
        module.set_parameters(torch.ones(1), torch.ones(1))
    assert module.scale.isnan().all()
