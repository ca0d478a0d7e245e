"""IntegerModule is an ordinary module, and its files say what they are."""

import copy
import json
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from engine_cases import CLASSES, CONFIG, NOISE, integer_model
from torch import nn
from torch.utils.data import DataLoader, Dataset

import hybridquant as hq
from hybridquant.engine.integer_module import save_scripted


@pytest.fixture
def module():
    return integer_model().to_module()


def test_it_is_an_ordinary_module(module):
    expected = integer_model()(NOISE)
    assert isinstance(module, nn.Module)
    assert not module.training
    (program,) = module.state_dict().values()
    assert program.numpy().tobytes() == integer_model().to_bytes()
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), module.half()):
        assert torch.equal(other(NOISE), expected)
    assert torch.equal(nn.Sequential(module, nn.Identity())(NOISE), expected)


def test_threads_share_it(module):
    expected = module(NOISE)
    scripted = torch.jit.script(module)
    for run in (module, scripted):
        with ThreadPoolExecutor(4) as pool:
            for i, logits in enumerate(pool.map(run, NOISE.repeat(3, 1, 1, 1).split(1))):
                assert torch.equal(logits, expected[i % 8, None])


class Logits(Dataset):
    """Computes logits where the worker is."""

    def __init__(self, run):
        self.run = run

    def __len__(self):
        return len(NOISE)

    def __getitem__(self, position):
        return self.run(NOISE[position, None])[0]


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_workers_run_it(module, set_threads):
    set_threads(2)
    expected = module(NOISE)
    for run in (module, hq.IntegerModel(integer_model().to_bytes(), 2)):
        loader = DataLoader(
            Logits(run), batch_size=4, num_workers=2, multiprocessing_context="fork", timeout=60
        )
        assert torch.equal(torch.cat(list(loader)), expected)


def test_its_file_says_what_it_is(tmp_path):
    integer_model().save_torchscript(tmp_path / "m.pt", {"model": "mine", "classes": None})
    module, metadata = hq.load_torchscript(tmp_path / "m.pt")
    assert module.takes_bytes
    assert metadata["model"] == "mine"
    assert metadata["classes"] is None
    config = hq.DataConfig.from_mapping(metadata["data_config"])
    assert config == integer_model().data_config
    assert (config.input_size, config.crop_mode) == (CONFIG.input_size, CONFIG.crop_mode)
    integer_model().save_torchscript(tmp_path / "n.pt")
    assert hq.load_torchscript(tmp_path / "n.pt")[1]["classes"] == list(CLASSES)


def test_its_file_holds_no_paths(tmp_path):
    integer_model().save_torchscript(tmp_path / "m.pt")
    folders = [Path(torch.__file__).parent, Path(hq.__file__).parent]
    with zipfile.ZipFile(tmp_path / "m.pt") as file:
        for name in file.namelist():
            assert not any(str(folder).encode() in file.read(name) for folder in folders), name
        assert json.loads(file.read("archive/extra/hybridquant.json"))["classes"]


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (NOISE.float(), "x must be uint8, the images' bytes before normalisation, got float32"),
        (NOISE[0], r"x must have shape \[images, 3, 48, 48\], got \[3, 48, 48\]"),
        (NOISE[..., :8], r"x must have shape \[images, 3, 48, 48\], got \[8, 3, 48, 8\]"),
    ],
)
def test_bad_images_are_named(module, images, text):
    for run in (module, torch.jit.script(module)):
        with pytest.raises(RuntimeError, match=text):
            run(images)


def test_a_file_that_would_differ_is_not_written(module, tmp_path):
    with pytest.raises(RuntimeError, match="the module differs at batch 1"):
        save_scripted(module, tmp_path / "m.pt", {}, lambda x: module(x) + 1)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_program_is_refused():
    with pytest.raises(ValueError, match="must be at least 8 bytes"):
        hq.IntegerModule(b"")
