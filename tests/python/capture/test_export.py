"""What torch.export needs of the process is put back."""

import importlib
import logging
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from hybridquant.capture import CaptureError, capture

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def process_wide():
    fast = torch.backends.mha.get_fastpath_enabled()
    return fast, logging.root.manager.disable, sys.stdout, sys.stderr, list(warnings.filters)


def test_captures_from_threads_take_turns(monkeypatch):
    module = importlib.import_module("hybridquant.capture.export")
    export = torch.export.export
    inside, counts = [], []

    def slow(*arguments, **options):
        inside.append(None)
        time.sleep(0.2)
        counts.append(len(inside))
        try:
            return export(*arguments, **options)
        finally:
            inside.pop()

    monkeypatch.setattr(module.torch.export, "export", slow)
    before = process_wide()
    models = [nn.Conv2d(3, channels, 1).eval() for channels in (4, 5, 6)]
    with ThreadPoolExecutor(len(models)) as threads:
        graphs = list(threads.map(lambda model: capture(model, IMAGES), models))
    assert counts == [1, 1, 1]
    assert process_wide() == before
    for graph, model in zip(graphs, models, strict=True):
        torch.testing.assert_close(graph(IMAGES), model(IMAGES))


def test_the_process_is_as_before_after_an_error():
    class Untraceable(nn.Module):
        def forward(self, x):
            if torch.compiler.is_exporting():
                raise RuntimeError
            return x

    before = process_wide()
    for _ in range(2):
        with pytest.raises(CaptureError, match="RuntimeError"):
            capture(Untraceable().eval(), IMAGES)
    assert process_wide() == before


def test_a_process_may_capture_first_in_a_thread_that_ends():
    code = """
import threading, torch
from hybridquant.capture import capture
run = lambda: capture(torch.nn.ReLU().eval(), torch.zeros(1, 3, 8, 8))
thread = threading.Thread(target=run)
thread.start(), thread.join(), run()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
