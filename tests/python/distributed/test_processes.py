"""Two processes find what one finds."""

from pathlib import Path

import pytest
import torch

from hybridquant.calibration import Calibration
from hybridquant.distributed import Processes, join_processes

JOB = Path(__file__).with_name("observe_job.py")


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("num_items", [0, 1, 5, 16])
def test_shares_follow_each_other_and_hold_every_item(num_items, count):
    shares = [Processes(rank, count).share(num_items) for rank in range(count)]
    assert [position for share in shares for position in share] == list(range(num_items))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)


def test_a_process_without_torchrun_is_alone(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with join_processes() as processes:
        assert processes == Processes()
        assert processes.gather("x") == ["x"]
        processes.check_same("test: x", 1)


def test_processes_that_disagree_are_told(monkeypatch):
    monkeypatch.setattr(Processes, "gather", lambda _, value: [value, "another"])
    with pytest.raises(ValueError, match="source must be the same in every process, got another i"):
        Calibration(torch.zeros(4, 3, 8, 8), 2, Processes(0, 2)).share()


@pytest.mark.slow
def test_two_processes_find_the_parameters_of_one(run_python, photographs, tmp_path):
    calibration = photographs / "imagenette_calib.tar"
    run_python(JOB, tmp_path / "one.pt", calibration)
    run_python(JOB, tmp_path / "two.pt", calibration, is_parallel=True)
    one, two = (torch.load(tmp_path / f"{name}.pt") for name in ("one", "two"))
    assert len(one) > 400
    assert list(one) == list(two)
    for name in one:
        assert torch.equal(one[name], two[name]), name
