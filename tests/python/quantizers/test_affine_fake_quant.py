from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch

from hybridquant.quantizers import QUANTIZERS
from hybridquant.quantizers.affine import AffineFakeQuant
from hybridquant.types import QuantSpec


def calibrated(num_channels: int = 3, channel_axis: int = 1) -> AffineFakeQuant:
    module = AffineFakeQuant(0, 255, channel_axis, num_channels)
    steps = torch.arange(1, num_channels + 1)
    module.set_parameters(0.01 * steps, 10.0 * steps)
    return module


def test_it_is_registered() -> None:
    assert QUANTIZERS["affine"] is AffineFakeQuant


def test_a_new_module_asks_for_calibration() -> None:
    module = AffineFakeQuant(0, 255)
    assert module.scale.isnan().all()
    assert not any(p.requires_grad for p in module.parameters())
    with pytest.raises(ValueError, match="calibrate first"):
        module(torch.zeros(3))


def test_it_equals_torch_per_channel() -> None:
    module, x = calibrated(), torch.randn(2, 3, 50)
    expected = torch.fake_quantize_per_channel_affine(
        x, module.scale, module.zero_point.int(), 1, 0, 255
    )
    assert torch.equal(module(x), expected)


def test_disabled_is_the_identity() -> None:
    module, x = AffineFakeQuant(0, 255), torch.randn(4)
    module.enabled = False
    assert module(x) is x


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
@pytest.mark.parametrize(
    ("bits", "scheme", "codes"),
    [
        (8, "asymmetric", (0, 255)),
        (8, "symmetric", (-128, 127)),
        (2, "symmetric", (-2, 1)),
        (16, "asymmetric", (0, 65535)),
    ],
)
def test_from_spec(bits: int, scheme: str, codes: tuple[int, int], granularity: str) -> None:
    spec = QuantSpec(bits=bits, scheme=scheme, granularity=granularity)  # type: ignore[arg-type]
    module = AffineFakeQuant.from_spec(spec, channel_axis=-1, num_channels=7)
    assert (module.qmin, module.qmax) == codes
    assert module.channel_axis == -1
    assert (
        module.scale.shape
        == module.zero_point.shape
        == ((7,) if granularity == "channel" else (1,))
    )


def test_learned_parameters_get_gradients() -> None:
    module = calibrated()
    module.requires_grad_()
    module(torch.randn(2, 3, 50)).square().sum().backward()
    assert module.scale.grad.abs().min() > 0
    assert module.zero_point.grad.shape == (3,)


def test_copies_keep_the_state() -> None:
    module, x = calibrated(), torch.randn(2, 3, 50)
    module.enabled = False
    other = AffineFakeQuant(0, 255, 1, 3)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other.scale, module.scale)
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert not twin.enabled
        twin.enabled = True
        assert torch.equal(twin(x), other(x))


@pytest.mark.parametrize("enabled", [False, True])
def test_script_save_and_load(enabled: bool) -> None:
    module, x = calibrated(), torch.randn(2, 3, 50)
    module.enabled = enabled
    scripted = torch.jit.script(module)
    buffer = io.BytesIO()
    torch.jit.save(scripted, buffer)
    loaded = torch.jit.load(io.BytesIO(buffer.getvalue()))
    assert torch.equal(scripted(x), module(x))
    assert torch.equal(loaded(x), module(x))


def test_scripted_modules_are_traced_and_exported() -> None:
    model = torch.nn.Sequential(torch.nn.Conv1d(3, 3, 1), calibrated()).eval()
    x = torch.randn(2, 3, 50)
    traced = torch.jit.trace(model, x)
    program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    other = torch.randn(5, 3, 50)
    assert torch.equal(traced(other), model(other))
    assert torch.equal(program.module()(other), model(other))


def test_compiled_without_a_graph_break() -> None:
    module, x = calibrated().requires_grad_(), torch.randn(2, 3, 50)
    results = []
    for run in (module, torch.compile(module, backend="aot_eager", fullgraph=True)):
        module.zero_grad()
        y = run(x)
        y.sum().backward()
        results.append((y.detach(), module.scale.grad, module.zero_point.grad))
    assert all(map(torch.equal, *results))


BAD_ARGUMENTS = [
    ((7, 7), "qmin and qmax must satisfy -32768 <= qmin < qmax <= 65535, got 7 and 7"),
    ((-40000, 7), "got -40000 and 7"),
    ((0, 70000), "got 0 and 70000"),
    ((0, 7, 0, 0), "num_channels must be at least 1, got 0"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD_ARGUMENTS)
def test_bad_arguments(arguments: tuple[int, ...], text: str) -> None:
    with pytest.raises(ValueError, match="AffineFakeQuant: ") as error:
        AffineFakeQuant(*arguments)
    assert text in str(error.value)


NAN, INF = float("nan"), float("inf")
BAD_PARAMETERS = [
    ([1.0], [0.0], "scale must have shape (2,), got (1,)"),
    ([1.0, 1.0], [0.0], "zero_point must have shape (2,), got (1,)"),
    (
        [1.0, NAN],
        [0, 0],
        "scale must be positive, finite and at least 2^-126, got nan at channel 1",
    ),
    ([INF, 1.0], [0, 0], "got inf at channel 0"),
    ([0.0, 1.0], [0, 0], "got 0 at channel 0"),
    ([1.0, -2.0], [0, 0], "got -2 at channel 1"),
    ([1.0, 1.0], [0.5, 0], "zero_point must be an integer within [0, 255], got 0.5 at channel 0"),
    ([1.0, 1.0], [0, 256], "got 256 at channel 1"),
    ([1.0, 1.0], [0, NAN], "got nan at channel 1"),
]


@pytest.mark.parametrize(("scale", "zero_point", "text"), BAD_PARAMETERS)
def test_bad_parameters_change_nothing(
    scale: list[float], zero_point: list[float], text: str
) -> None:
    module = calibrated(2)
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(ValueError, match="set_parameters: ") as error:
        module.set_parameters(torch.tensor(scale), torch.tensor(zero_point))
    assert text in str(error.value)
    assert all(map(torch.equal, before.values(), module.state_dict().values()))


def test_it_prints_its_codes() -> None:
    module = calibrated()
    module.enabled = False
    assert repr(module) == (
        "AffineFakeQuant([0, 255], num_channels=3, channel_axis=1, enabled=False)"
    )
