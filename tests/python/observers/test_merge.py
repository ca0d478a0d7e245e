"""Observers of parts of a stream, merged, are the observer of the whole stream."""

from dataclasses import replace

import pytest
import torch

from hybridquant.observers import OBSERVERS
from hybridquant.types import QuantSpec

TENSOR, CHANNEL = ("tensor", None), ("channel", 1)


def batches(num_values, spreads):
    """Return batches [2, 3, num_values]; each of another spread, and each channel."""
    generator = torch.Generator().manual_seed(0)
    channels = torch.tensor([0.01, 1.0, 30.0])[:, None]
    made = [torch.randn(2, 3, num_values, generator=generator) * s * channels for s in spreads]
    return [x.relu() if index % 2 else x for index, x in enumerate(made)]


# What the stream is: kept values, kept values that become a histogram, histograms.
STREAMS = {
    "few": batches(8, [1, 2, 0.5, 4]),
    "few become many": batches(700, [1, 2, 0.5, 4]),
    "many": batches(2100, [1, 0.1, 8, 100]),
    "many, narrower later": batches(2100, [100, 1, 0.1, 0.01]),
    "zeros first": [torch.zeros(2, 3, 9), *batches(2100, [1, 3, 0.1])],
}


def seen(name, spec, axis, stream):
    options = {"candidates": 10} if "candidates" in OBSERVERS[name].OPTIONS else {}
    observer = OBSERVERS[name](replace(spec, observer_options=options), axis)
    for x in stream:
        observer.observe(x)
    return observer


@pytest.mark.parametrize("cut", [0, 2, 4])
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric"])
@pytest.mark.parametrize(("granularity", "axis"), [TENSOR, CHANNEL], ids=["tensor", "channel"])
@pytest.mark.parametrize("name", OBSERVERS.names())
def test_merged_parts_are_the_whole(name, granularity, axis, scheme, stream, cut):
    spec = QuantSpec(bits=4, scheme=scheme, granularity=granularity, observer=name)
    whole = seen(name, spec, axis, stream)
    merged, later = seen(name, spec, axis, stream[:cut]), seen(name, spec, axis, stream[cut:])
    merged.merge(later)
    for got, wanted in zip(merged.value_range(), whole.value_range(), strict=True):
        assert torch.equal(got, wanted)
    for got, wanted in zip(
        merged.quantization_parameters(), whole.quantization_parameters(), strict=True
    ):
        assert torch.equal(got, wanted)
    if cut < len(stream):  # the later one still is what it was
        assert torch.equal(
            later.value_range()[1], seen(name, spec, axis, stream[cut:]).value_range()[1]
        )


@pytest.mark.parametrize("name", OBSERVERS.names())
def test_a_merged_observer_goes_on(name):
    spec, stream = QuantSpec(bits=4, observer=name), STREAMS["many"]
    merged = seen(name, spec, None, stream[:1])
    merged.merge(seen(name, spec, None, stream[1:2]))
    for x in stream[2:]:
        merged.observe(x)
    assert torch.equal(merged.value_range()[1], seen(name, spec, None, stream).value_range()[1])


def test_only_observers_of_the_same_edge_merge():
    observer = seen("minmax", QuantSpec(granularity="channel"), 1, STREAMS["few"])
    with pytest.raises(ValueError, match=r"merge: later must be of .*MinMax.* got .*Mse"):
        observer.merge(OBSERVERS["mse"](QuantSpec(granularity="channel", observer="mse"), 1))
    other = seen("minmax", QuantSpec(granularity="channel"), 1, [torch.ones(2, 4)])
    with pytest.raises(ValueError, match="merge: later must have 3 channels, got 4"):
        observer.merge(other)
