"""``hybridquant finetune`` from end to end, stopped and resumed, and on two processes."""

import io
import json
import tarfile

import numpy as np
import pytest
import torch
import yaml

from hybridquant.cli import main
from hybridquant.recipe import load_recipe, recipe_to_dict
from hybridquant.training.trainer import Trainer

# A model of the working directory, small enough for tests that run it many times.
FACTORY = """
import torch

class Small(torch.nn.Module):
    data_config = {"input_size": (3, 32, 32)}

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 8, 3, stride=4)
        self.mix = torch.nn.Conv2d(8, 16, 3)
        self.head = torch.nn.Linear(16, 10)

    def forward(self, x):
        return self.head(self.mix(self.stem(x).relu()).relu().mean((2, 3)))

def make():
    torch.manual_seed(0)
    return Small().eval()
"""


@pytest.fixture(autouse=True)
def small_model(tmp_path, monkeypatch):
    (tmp_path / "small_factory.py").write_text(FACTORY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


def arguments(photographs, out, *more, epochs=2):
    recipe = {**recipe_to_dict(load_recipe("qat/w4a4")), "name": "small"}
    recipe["finetune"] = {**recipe["finetune"], "batch_size": 4}
    path = out.parent / "small.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    # fmt: off
    return [
        "finetune", "small_factory:make", "--recipe", path,
        "--images", 4, "--train", photographs / "imagenette_calib.tar", "--train-images", 8,
        "--epochs", epochs, "--out", out, "--threads", 1, "--batch-size", 2, *more,
    ]
    # fmt: on


def run(*command):
    return main([str(word) for word in command])


def weights(out):
    return torch.jit.load(out / "model.fakequant.pt").state_dict()


def unlabelled(photographs, tmp_path):
    """Return the calibration photographs without their class folders."""
    path = tmp_path / "flat.tar"
    with tarfile.open(photographs / "imagenette_calib.tar") as old, tarfile.open(path, "w") as new:
        for number, member in enumerate([m for m in old.getmembers() if m.isreg()][:8]):
            content = old.extractfile(member).read()
            flat = tarfile.TarInfo(f"{number}.{member.name.rpartition('.')[2]}")
            flat.size = len(content)
            new.addfile(flat, io.BytesIO(content))
    return path


def test_a_run_that_was_stopped_gives_the_bits_of_one_that_was_not(
    photographs, tmp_path, monkeypatch, capsys
):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert run(*arguments(photographs, whole)) == 0
    original = Trainer._train

    def stop(self, epoch, positions):
        if self.step == 2:
            raise KeyboardInterrupt
        return original(self, epoch, positions)

    monkeypatch.setattr(Trainer, "_train", stop)
    assert run(*arguments(photographs, stopped)) == 130
    text = "interrupted in step 3 of 4; add --resume to the same command to go on"
    assert text in capsys.readouterr().err
    assert [path.name for path in stopped.iterdir()] == ["checkpoint.pt"]
    monkeypatch.undo()

    assert run(*arguments(photographs, stopped)) == 1
    assert "--out must be a folder without a checkpoint" in capsys.readouterr().err
    assert run(*arguments(photographs, stopped, "--resume", epochs=3)) == 1
    assert "finetune: epochs must be 2 to go on from" in capsys.readouterr().err
    assert run(*arguments(photographs, stopped, "--resume")) == 0
    assert "resumed after step 2 of 4" in capsys.readouterr().out

    names = {"model.fakequant.pt", "model.hq.safetensors", "model.int8.pt"}
    names |= {"recipe.yaml", "metrics.json"}
    for out in (whole, stopped):
        assert {path.name for path in out.iterdir()} == names
    integers = [(out / "model.hq.safetensors").read_bytes() for out in (whole, stopped)]
    assert integers[0] == integers[1]
    metrics = [json.loads((out / "metrics.json").read_text()) for out in (whole, stopped)]
    assert metrics[0]["curve"] == metrics[1]["curve"]
    assert [record["epoch"] for record in metrics[0]["curve"]] == [1, 2]
    assert metrics[0]["float_nodes"] == 0
    assert metrics[0]["sqnr_db"] != metrics[0]["start_sqnr_db"]
    assert (
        run("verify", stopped, "--data", photographs / "imagenette_calib.tar", "--images", 2) == 0
    )


@pytest.mark.slow
def test_two_processes_train_on_photographs_without_labels(run_python, photographs, tmp_path):
    images = unlabelled(photographs, tmp_path)
    found = []
    for name, is_parallel in (("one", False), ("two", True)):
        command = arguments(photographs, tmp_path / name, "--json", "--train", images, epochs=1)
        text = run_python("-m", "hybridquant", *command, is_parallel=is_parallel)
        found.append(json.loads(text))
    one, two = found
    assert (one["processes"], two["processes"]) == (1, 2)
    assert not two["train_labels"]
    # The calibrated start is the same, bit for bit; gradients are sums in another order.
    for figure in ("start_agreement", "start_kl", "start_sqnr_db", "fp32_top1", "steps"):
        assert one[figure] == two[figure]
    assert two["curve"][0]["loss"] == pytest.approx(one["curve"][0]["loss"], rel=0.05)
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == sorted(
        p.name for p in (tmp_path / "one").iterdir()
    )


def test_preprocessed_images_cannot_be_cropped(photographs, tmp_path, capsys):
    np.savez(tmp_path / "x.npz", x=np.zeros((8, 3, 32, 32), np.float32))
    assert run(*arguments(photographs, tmp_path / "out", "--train", tmp_path / "x.npz")) == 1
    assert "image must be a photograph or uint8 pixels" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
