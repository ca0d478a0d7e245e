"""The loop of the command: what it learns from, and how it goes on."""

import copy

import numpy as np
import pytest
import torch

from hybridquant.data import DataConfig, load_data
from hybridquant.distributed import Processes
from hybridquant.recipe import FinetuneSettings
from hybridquant.training.checkpoint import Checkpoint
from hybridquant.training.trainer import Trainer

CONFIG = DataConfig((3, 16, 16))
SETTINGS = FinetuneSettings(lr=2e-3, step_lr=5e-3, batch_size=4, label_weight=0.25, ema_decay=0.9)


@pytest.fixture
def pixels(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (14, 24, 20, 3), dtype=np.uint8)
    np.savez(tmp_path / "pixels.npz", x=x, y=np.arange(14) % 5)
    return load_data(tmp_path / "pixels.npz", CONFIG)


def make(graph, model, data, settings=SETTINGS, epochs=2, **options):
    return Trainer(copy.deepcopy(graph), model, data, settings, epochs=epochs, **options)


def run(trainer, stop_at=None):
    """Run to the end, or until Ctrl-C comes after a step."""

    def after_step(_has_ended):
        if trainer.step == stop_at:
            raise KeyboardInterrupt

    try:
        trainer.run(after_step)
    except KeyboardInterrupt:
        assert trainer.step == stop_at
    return trainer


@pytest.mark.parametrize("stop_at", [1, 3, 4])
def test_a_resumed_run_is_the_uninterrupted_one(graph, tiny_model, pixels, tmp_path, stop_at):
    whole = run(make(graph, tiny_model, pixels))
    stopped = run(make(graph, tiny_model, pixels), stop_at)
    Checkpoint(tmp_path, {"seed": 0}, 10).save(stopped.state())
    resumed = make(graph, tiny_model, pixels)
    resumed.load_state(Checkpoint(tmp_path, {"seed": 0}, 10).load())
    assert resumed.step == stop_at
    run(resumed)
    assert whole.num_steps == resumed.step == 6
    assert whole.history == resumed.history
    expected, found = whole.result().state_dict(), resumed.result().state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    start = graph.state_dict()
    assert sum(not torch.equal(start[name], expected[name]) for name in expected) > 20


def test_the_kept_average_is_of_every_step(graph, tiny_model, pixels):
    settings = FinetuneSettings(lr=2e-3, step_lr=0.0, batch_size=14, ema_decay=0.05)
    trainer = make(graph, tiny_model, pixels, settings, epochs=2)
    mean = graph.get_parameter("head.weight").detach().clone()
    weight = trainer._learning.graph.get_parameter("head.weight")
    for stop_at in (1, 2):
        run(trainer, stop_at)
        mean.lerp_(weight.detach(), 0.95)
    torch.testing.assert_close(trainer.result().get_parameter("head.weight"), mean)


def test_a_seed_gives_one_result(graph, tiny_model, pixels):
    results = [run(make(graph, tiny_model, pixels, epochs=1, seed=s)).history for s in (1, 1, 2)]
    assert results[0] == results[1] != results[2]


def test_wrong_runs_are_told(graph, tiny_model, pixels):
    with pytest.raises(ValueError, match="batch must hold an image for each process, got 4 for 5"):
        make(graph, tiny_model, pixels, processes=Processes(0, 5))
    with torch.no_grad():
        tiny_model.head.bias.fill_(torch.nan)
    with pytest.raises(ValueError, match="loss must stay finite, got nan in step 1; lower"):
        run(make(graph, tiny_model, pixels))


def test_a_checkpoint_is_of_one_job_and_whole(tmp_path):
    checkpoint = Checkpoint(tmp_path, {"seed": 0}, 60)
    assert checkpoint.load() is None
    checkpoint.save({"step": 1}, is_due=False)
    assert checkpoint.load() is None  # not a minute has passed
    checkpoint.save({"step": 2})
    assert checkpoint.load() == {"step": 2}
    Checkpoint(tmp_path, {"seed": 0}, 0).save({"step": 3}, is_due=False)
    assert checkpoint.load() == {"step": 3}
    with pytest.raises(ValueError, match=r"finetune: seed must be 0 to go on from .*, got 1; give"):
        Checkpoint(tmp_path, {"seed": 1}, 60).load()
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:100])
    with pytest.raises(ValueError, match="must be a whole checkpoint, got"):
        checkpoint.load()
    checkpoint.remove()
    assert not list(tmp_path.iterdir())
