"""Quantize with every observer, alone or under torchrun; the first process writes what it found.

python observe_job.py OUT
"""

import sys

import torch

from hybridquant.calibration import Calibration
from hybridquant.data import DataConfig, load_data
from hybridquant.distributed import join_processes
from hybridquant.observers import OBSERVERS
from hybridquant.pipeline import quantize
from hybridquant.recipe import PassSpec, Recipe, Rule
from hybridquant.report import predict

RULES = {
    "tensor": (Rule(("*",), bits=4),),
    "channel": (
        Rule(("*",), bits=4),
        Rule(("conv2d", "linear"), granularity="channel"),
        Rule(("conv2d", "linear"), operand="weight", granularity="channel", scheme="symmetric"),
    ),
}


class Tiny(torch.nn.Module):
    """Two convolutions, one of them depthwise, and a classifier."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 8, 3, stride=4)
        self.depthwise = torch.nn.Conv2d(8, 8, 3, groups=8)
        self.head = torch.nn.Linear(8, 10)

    def forward(self, x):
        x = self.stem(x).relu()
        return self.head((x[:, :, 1:-1, 1:-1] + self.depthwise(x)).mean((2, 3)))


def recipe(name, granularity):
    rules = (*RULES[granularity], Rule(("*",), observer=name))
    return Recipe(f"{name} {granularity}", "Test.", rules, (PassSpec("observe"),))


def run(out, photographs):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = Tiny().eval()
    # Five images a batch of two: three batches, so that the shares differ.
    images = [x * (1 + i) for i, x in enumerate(torch.randn(5, 2, 3, 32, 32))]
    config = DataConfig((3, 32, 32))
    data = load_data(photographs, config, num_images=20)
    sources = {"list": images, "tensor": torch.cat(images), "photographs": data}
    found = {}
    with join_processes() as processes:
        for kind, source in sources.items():
            calibration = Calibration(source, 2, processes)
            for name in OBSERVERS.names():
                for granularity in RULES:
                    graph = quantize(model, calibration, recipe(name, granularity))
                    for key, value in graph.state_dict().items():
                        found[f"{kind} {name} {granularity} {key}"] = value
        one = quantize(model, Calibration(images[0], 2, processes), recipe("mse", "channel"))
        found |= {f"one batch {key}": value for key, value in one.state_dict().items()}
        predicted = predict(graph, data, batch_size=3, processes=processes)
        found |= {"logits": predicted.logits, "labels": predicted.labels}
        if processes.is_first:
            torch.save(found, out)


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
