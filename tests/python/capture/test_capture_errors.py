"""Every wrong argument and every model that cannot be captured has an error of its own."""

import threading

import pytest
import torch
from torch import nn

from hybridquant.capture import CaptureError, UnsupportedOperatorError, capture

IMAGES = torch.zeros(2, 3, 8, 8)


class Model(nn.Module):
    """A convolution and then the given function."""

    def __init__(self, function=lambda x: x):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.register_buffer("calls", torch.zeros(1))
        self.function = function

    def forward(self, x):
        return self.function(self.conv(x))


class Counting(Model):
    def forward(self, x):
        self.calls += 1
        return self.conv(x)


class Nested(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.stages = nn.Sequential(nn.Identity(), inner)

    def forward(self, x):
        return self.stages(x)


BAD_EXAMPLES = [
    ("no tensor", [[0.0]], TypeError, "example must be a torch.Tensor, got list"),
    ("integers", IMAGES.byte(), TypeError, "must be float32, got torch.uint8; scale and norm"),
    ("doubles", IMAGES.double(), TypeError, "must be float32, got torch.float64"),
    ("one image", IMAGES[0], ValueError, r"\[batch, channels, height, width\].*got \[3, 8, 8\]"),
    ("no images", IMAGES[:0], ValueError, r"without a zero, got \[0, 3, 8, 8\]"),
    (
        "one channel",
        IMAGES[:, :1],
        ValueError,
        r"images the model accepts, got shape \[2, 1, 8, 8\]",
    ),
]


@pytest.mark.parametrize(
    ("example", "error", "text"), [c[1:] for c in BAD_EXAMPLES], ids=[c[0] for c in BAD_EXAMPLES]
)
def test_bad_example(example, error, text):
    with pytest.raises(error, match=f"^capture: .*{text}"):
        capture(Model().eval(), example)


def test_wrong_size():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2)).eval()
    with pytest.raises(ValueError, match=r"got shape \[1, 3, 9, 9\]"):
        capture(model, torch.zeros(1, 3, 9, 9))


BAD_MODELS = [
    ("no module", len, TypeError, "model must be an nn.Module"),
    ("training", Model(), ValueError, "got it in training mode; call model.eval()"),
    (
        "half",
        Model().half().eval(),
        TypeError,
        "float32 weights.*'conv.weight'; call model.float()",
    ),
    ("stateful", Counting().eval(), CaptureError, "must not change its buffers.*'calls'"),
]


@pytest.mark.parametrize(
    ("model", "error", "text"), [c[1:] for c in BAD_MODELS], ids=[c[0] for c in BAD_MODELS]
)
def test_bad_model(model, error, text):
    with pytest.raises(error, match=text):
        capture(model, IMAGES)


def test_attribute_that_cannot_be_copied_is_named():
    model = Nested(Model()).eval()
    model.stages[1].lock = threading.Lock()
    with pytest.raises(CaptureError, match=r"'_thread.lock' object in attribute 'stages.1.lock'; "):
        capture(model, IMAGES)


def test_attribute_that_contains_itself():
    model = Model().eval()
    model.settings = {}
    model.settings["settings"] = model.settings
    with pytest.raises(CaptureError, match="must not hold a dict, list or tuple that contains its"):
        capture(model, IMAGES)


def test_module_in_training_mode_is_named():
    model = Nested(Model()).eval()
    model.stages[1].conv.train()
    with pytest.raises(ValueError, match=r"module 'stages.1.conv' in training mode"):
        capture(model, IMAGES)


REFUSED = [
    ("unlisted", lambda x: x.cumsum(1), "operator aten.cumsum.default in module 'stages.1'"),
    ("sort", lambda x: x.sort(1)[0] + 1, "operator aten.sort.default in module 'stages.1'"),
    ("top places", lambda x: x.mean((2, 3)).topk(2)[1].float(), "operator aten.topk.default"),
    ("top of the batch", lambda x: x.flatten().topk(x.shape[0])[0], "operator aten.topk.default"),
    ("dropout", lambda x: nn.functional.dropout(x, training=True), "at random|aten"),
    ("statistics", lambda x: nn.functional.batch_norm(x, None, None, training=True), "batch|aten"),
    ("value decides", lambda x: x * 2 if x.sum().item() > 0 else x, "values decide"),
    ("value decides size", lambda x: x[:, : int(x.max())], "values decide"),
    ("cast", lambda x: x.half().float(), "casts float32 to float16; run the model in float32"),
    ("share of the batch", lambda x: x / x.shape[0], "batch size"),
]


@pytest.mark.parametrize(
    ("function", "text"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_refused_operators(function, text):
    with pytest.raises(UnsupportedOperatorError, match=text) as caught:
        capture(Nested(Model(function)).eval(), IMAGES)
    assert str(caught.value).startswith("capture: operator ")
    assert caught.value.path is None or f"module {caught.value.path!r}" in str(caught.value)


def test_all_unlisted_operators_are_named():
    class Sorting(Model):
        def forward(self, x):
            return torch.fft.rfft(self.conv(x).cumsum(1).sort(1)[0]).abs()

    with pytest.raises(UnsupportedOperatorError) as caught:
        capture(Nested(Sorting()).eval(), IMAGES)
    first, *others = str(caught.value).splitlines()
    assert first.startswith("capture: operator aten.cumsum.default in module 'stages.1' is not in")
    assert others == [
        "  the same for aten.sort.default in module 'stages.1'",
        "  the same for aten._fft_r2c.default in module 'stages.1'",
    ]


def test_nothing_is_printed(capfd):
    with pytest.raises(UnsupportedOperatorError, match=r"test_capture_errors.py:\d+"):
        capture(Model(lambda x: x if x.sum() > 0 else x + 1).eval(), IMAGES)
    assert capfd.readouterr() == ("", "")


def test_recurrent_layers_are_not_unrolled():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(8, 4, batch_first=True)

        def forward(self, x):
            return self.lstm(x[:, 0])[0]

    with pytest.raises(
        UnsupportedOperatorError, match=r"operator aten\.lstm\.input in module 'lstm'"
    ):
        capture(Recurrent().eval(), IMAGES)


def test_fixed_batch_size():
    model = Model(lambda x: x.reshape(2, -1)).eval()
    with pytest.raises((CaptureError, UnsupportedOperatorError), match="batch"):
        capture(model, IMAGES)


def test_untraceable_python():
    def function(x):
        if torch.compiler.is_exporting():
            raise RuntimeError("never works while tracing")
        return x

    with pytest.raises(CaptureError, match="never works while tracing"):
        capture(Model(function).eval(), IMAGES)


def test_module_name_that_export_needs():
    model = nn.Sequential()
    model.add_module("graph", nn.Linear(8, 8))
    model.add_module("write", Model(lambda x: x[:, :1].relu_()))
    model.write.conv = nn.Identity()
    with pytest.raises(CaptureError, match=r"module named 'graph'.*rename it"):
        capture(model.eval(), IMAGES)


def test_unusual_output():
    class Odd:
        def __init__(self, x):
            self.x = x

    with pytest.raises(CaptureError, match="capture: model must"):
        capture(Model(Odd).eval(), IMAGES)


CODE = """
def function(x):
    return x * 2 if x.sum() > 0 else x
"""
FOLDERS = ["hybridquant-demo", "torch", "hybridquant", "site-packages/hybridquant_models"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_line_is_shown_wherever_the_project_is(folder, tmp_path):
    path = tmp_path / folder / "model.py"
    names = {}
    exec(compile(CODE, str(path), "exec"), names)
    with pytest.raises(UnsupportedOperatorError, match=r" at model.py:3 \(function\)"):
        capture(Model(names["function"]).eval(), IMAGES)
