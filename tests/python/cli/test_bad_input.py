"""Every bad input ends in one clear sentence, a documented exit code, and nothing left behind."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hybridquant.cli import main

DATA = Path(__file__).parents[2] / "data"
CALIB, VAL = str(DATA / "imagenette_calib.tar"), str(DATA / "imagenette_val.tar")


class NanOutput(torch.nn.Module):
    """A model whose logits are not numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 2, 3)
        torch.nn.init.constant_(self.conv.weight, torch.nan)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x).mean((2, 3))


class Sorting(torch.nn.Module):
    """A model with an operator that is not in the vocabulary."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x).flatten(1).sort(dim=1).values[:, :2]


def not_a_model() -> int:
    return 3


def failing_factory() -> torch.nn.Module:
    message = "no weights on this machine"
    raise RuntimeError(message)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Return a folder of inputs, each bad in its own way."""
    bad = tmp_path / "inputs"
    (bad / "empty").mkdir(parents=True)
    corrupt = bad / "corrupt" / "n01440764"
    corrupt.mkdir(parents=True)
    (corrupt / "broken.JPEG").write_bytes(b"\xff\xd8\xff not a photograph")
    stranger = bad / "stranger" / "zebra"
    stranger.mkdir(parents=True)
    Image.new("RGB", (32, 32)).save(stranger / "a.png")
    flat = bad / "flat"
    flat.mkdir()
    Image.new("RGB", (32, 32)).save(flat / "a.png")
    (bad / "taken" / "metrics.json").mkdir(parents=True)
    (bad / "file").write_text("a file")
    (bad / "truncated.tar").write_bytes(Path(CALIB).read_bytes()[:20000])
    (bad / "model.pt").write_bytes(b"PK not a model")
    (bad / "typo.yaml").write_text("name: typo\ndescription: d\nruls: []\npasses: [observe]\n")
    (bad / "nothing.yaml").write_text(
        "name: nothing\ndescription: d\nrules:\n"
        "  - {operators: [conv2d], modules: 'no.such.*', operand: all, bits: 8}\n"
        "passes: [observe]\n"
    )
    x = np.zeros((4, 3, 128, 128), dtype=np.float32)
    x[1, 0, 0, 0] = np.nan
    np.savez(bad / "nan.npz", x=x, y=np.zeros(4, dtype=np.int64))
    torch.save({"wrong.key": torch.zeros(2)}, bad / "wrong.pth")
    scripted = torch.jit.trace(torch.nn.ReLU(), torch.zeros(1))
    torch.jit.save(scripted, str(bad / "stranger.pt"))
    with tarfile.open(bad / "text.tar", "w") as tar:
        info = tarfile.TarInfo("val/n01440764/readme.txt")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"hi"))
    return bad


# Arguments after `hybridquant`; {bad} is the folder above, {out} a folder that must not appear.
QUANTIZE = ["quantize", "default", "--out", "{out}"]
COMPARE = ["compare", "default", "--calib", CALIB, "--eval", VAL, "--out", "{out}"]
HERE = "test_bad_input"
CASES = {
    "unknown-model": (["inspect", "mobilevit_xsx"], "mobilevit_xs"),
    "unknown-reference": (["inspect", "efficientvit_b0.imagenet"], "efficientvit_b0.imagenette"),
    "unknown-timm": (["inspect", "timm:no_such_net"], "no_such_net"),
    "unknown-torchvision": (["inspect", "torchvision:swin_x"], "swin"),
    "no-such-package": (["inspect", "no_such_package:factory"], "no_such_package"),
    "no-such-factory": (["inspect", f"{HERE}:nothing"], "nothing"),
    "factory-fails": (["inspect", f"{HERE}:failing_factory"], "no weights on this machine"),
    "factory-returns-int": (["inspect", f"{HERE}:not_a_model"], "int"),
    "unsupported-operator": (["inspect", f"{HERE}:Sorting"], "sort"),
    "missing-checkpoint": (["inspect", "mobilevit_xxs", "--checkpoint", "{bad}/no.pth"], "no.pth"),
    "wrong-checkpoint": (
        ["inspect", "mobilevit_xxs", "--checkpoint", "{bad}/wrong.pth"],
        "wrong.key|missing",
    ),
    "unknown-recipe": ([*QUANTIZE, "--calib", CALIB, "--recipe", "baseline/w8a8-ms"], "w8a8-mse"),
    "recipe-typo": ([*QUANTIZE, "--calib", CALIB, "--recipe", "{bad}/typo.yaml"], "rules"),
    "rule-without-match": (
        [*QUANTIZE, "--calib", CALIB, "--images", "10", "--recipe", "{bad}/nothing.yaml"],
        "no.such",
    ),
    "missing-data": ([*QUANTIZE, "--calib", "{bad}/absent.tar"], "absent.tar"),
    "empty-folder": ([*QUANTIZE, "--calib", "{bad}/empty"], "empty"),
    "not-a-data-file": ([*QUANTIZE, "--calib", "{bad}/file"], "file"),
    "tar-without-images": ([*QUANTIZE, "--calib", "{bad}/text.tar"], "image"),
    "truncated-tar": ([*QUANTIZE, "--calib", "{bad}/truncated.tar"], "truncated.tar"),
    "corrupt-jpeg": ([*QUANTIZE, "--calib", "{bad}/corrupt"], "broken.JPEG"),
    "nan-image": ([*QUANTIZE, "--calib", "{bad}/nan.npz"], "finite|NaN|nan"),
    "too-many-images": ([*QUANTIZE, "--calib", CALIB, "--images", "9999"], "9999"),
    "unlabelled-eval": ([*QUANTIZE, "--calib", CALIB, "--eval", "{bad}/flat"], "label"),
    "unknown-class": ([*QUANTIZE, "--calib", CALIB, "--eval", "{bad}/stranger"], "zebra"),
    "out-is-a-file": (["quantize", "default", "--calib", CALIB, "--out", "{bad}/file"], "folder"),
    "too-long-a-path": (
        ["quantize", "default", "--calib", CALIB, "--out", "{bad}/" + 300 * "x"],
        "must be a path that can be used, got: File name too long",
    ),
    "out-below-a-file": (
        ["quantize", "default", "--calib", CALIB, "--out", "{bad}/file/out"],
        "writable",
    ),
    "artifact-is-a-folder": (
        ["quantize", "default", "--calib", CALIB, "--out", "{bad}/taken"],
        "metrics.json",
    ),
    "nan-logits": (
        ["evaluate", f"{HERE}:NanOutput", "--data", CALIB, "--images", "10"],
        "finite",
    ),
    "nan-calibration": (
        ["quantize", f"{HERE}:NanOutput", "--out", "{out}", "--calib", CALIB, "--images", "10"],
        "finite",
    ),
    "no-torchscript": (["evaluate", "{bad}/model.pt", "--data", VAL], "TorchScript"),
    "foreign-torchscript": (["evaluate", "{bad}/stranger.pt", "--data", VAL], "metadata"),
    "absent-torchscript": (
        ["evaluate", "{bad}/absent.pt", "--data", VAL],
        "path must be an existing file, got ",
    ),
    "unknown-compared-recipe": ([*COMPARE, "--recipes", "integer/w8a8", "baseline/x"], "baseline/"),
    "pattern-without-match": ([*COMPARE, "--recipes", "peers/*"], "unknown recipe 'peers/*'"),
    "too-much-stress": (
        [*COMPARE, "--recipes", "integer/w8a8", "--stress", "1025"],
        "stress must be 1 to 1024, got 1025",
    ),
    "compared-classes": (
        [*COMPARE, "--recipes", "integer/w8a8", "--eval", "{bad}/stranger"],
        "zebra",
    ),
    "unknown-shown-recipe": (["recipe", "show", "baseline/w8a9"], "baseline/w8a8"),
}
USAGE = {
    "no-command": [],
    "unknown-command": ["quantise"],
    "no-data": ["quantize", "default", "--out", "{out}"],
    "empty-out": ["quantize", "default", "--calib", CALIB, "--out", ""],
    "empty-calib": [*QUANTIZE, "--calib", " "],
    "zero-images": [*QUANTIZE, "--calib", CALIB, "--images", "0"],
    "negative-threads": [*QUANTIZE, "--calib", CALIB, "--threads", "-1"],
    "text-for-seed": [*QUANTIZE, "--calib", CALIB, "--seed", "x"],
    "huge-seed": [*QUANTIZE, "--calib", CALIB, "--seed", str(2**63)],
    "too-many-threads": [*QUANTIZE, "--calib", CALIB, "--threads", "100000"],
    "no-recipes": COMPARE,
    "zero-stress": [*COMPARE, "--recipes", "integer/w8a8", "--stress", "0"],
    "unknown-list": ["list", "models-and-more"],
}


def filled(arguments: list[str], inputs: Path, out: Path) -> list[str]:
    return [text.format(bad=inputs, out=out) for text in arguments]


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize(("arguments", "text"), CASES.values(), ids=CASES)
def test_bad_input_is_one_sentence(
    arguments: list[str],
    text: str,
    as_json: bool,
    inputs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sorted(tmp_path.rglob("*"))
    argv = filled(arguments, inputs, tmp_path / "out") + ["--json"] * as_json
    code = main(argv)
    printed = capsys.readouterr()
    assert code == 1, printed.err
    assert printed.err.startswith("hybridquant: error: ")
    assert "Traceback" not in printed.err
    assert any(word in printed.err for word in text.split("|")), printed.err
    assert not as_json or printed.out == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("arguments", USAGE.values(), ids=USAGE)
def test_wrong_usage_exits_with_2(
    arguments: list[str], inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(filled(arguments, inputs, tmp_path / "out"))
    assert stop.value.code == 2
    assert "usage: hybridquant" in capsys.readouterr().err
