"""Parts of a model that need not run again."""

import torch
from torch import nn

from hybridquant.models.recorded_calls import RecordedCalls

IMAGES = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(1))


class Part(nn.Module):
    """A function over a convolution, that counts its runs."""

    def __init__(self, function=lambda layer, x: layer(x)):
        super().__init__()
        self.layer = nn.Conv2d(4, 4, 3, padding=1)
        self.function = function
        self.num_runs = 0

    def forward(self, x, **options):
        self.num_runs += 1
        return self.function(self.layer, x, **options)


class Whole(nn.Module):
    """Three parts, called as a function says."""

    def __init__(self, forward, *parts):
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.function = forward

    def forward(self, x):
        return self.function(*self.parts, x)


@torch.no_grad()
def runs_again(forward, *parts, images=IMAGES):
    """Return the runs of each part after a recorded run, where the second part has changed."""
    torch.manual_seed(0)
    model = Whole(forward, *(parts or (Part(), Part(), Part()))).eval()
    calls = RecordedCalls(model)
    changed = model.parts[1].layer
    with calls.recorded():
        model(images.clone())
    changed.weight[0] *= 4
    expected = model(images.clone())
    for part in model.parts:
        part.num_runs = 0
    with calls.given_back(changed):
        assert torch.equal(model(images.clone()), expected)
    assert all("forward" not in part.__dict__ for part in model.modules())
    return [part.num_runs for part in model.parts]


def test_only_what_reads_something_new_runs():
    assert runs_again(lambda a, b, c, x: c(b(a(x)))) == [0, 1, 1]
    assert runs_again(lambda a, b, c, x: b(x) + c(a(x))) == [0, 1, 0]


def test_other_images_run_everything():
    parts = [Part(), Part(), Part()]
    model = Whole(lambda a, b, c, x: c(b(a(x))), *parts).eval()
    calls = RecordedCalls(model)
    with torch.no_grad():
        with calls.recorded():
            model(IMAGES)
        expected = model(IMAGES + 1)
        with calls.given_back(parts[1].layer):
            assert torch.equal(model(IMAGES + 1), expected)
    assert [part.num_runs for part in parts] == [3, 3, 3]


def test_parts_that_were_called_twice_run():
    assert runs_again(lambda a, b, c, x: b(a(a(x))) + c(x)) == [2, 1, 0]


def test_what_was_changed_in_place_later_is_not_given_back():
    assert runs_again(lambda a, b, c, x: c(b(a(x).mul_(2)))) == [1, 1, 1]
    # Nor can a change of what is given back reach the record.
    assert runs_again(lambda a, b, c, x: b(a(x)).mul_(c(x))) == [0, 1, 0]


def test_a_part_that_changes_its_input_runs():
    part = Part(lambda layer, x: layer(x.mul_(2)))
    assert runs_again(lambda a, b, c, x: c(x) + b(a(x)) + x, part, Part(), Part())[0] == 1


def test_what_reads_or_returns_other_than_tensors_runs():
    part = Part(lambda layer, x, factor: layer(x) * factor)
    assert runs_again(lambda a, b, c, x: c(b(a(x, factor=2))), part, Part(), Part())[0] == 1
    part = Part(lambda layer, x: (layer(x), 1))
    assert runs_again(lambda a, b, c, x: c(b(a(x)[0])), part, Part(), Part())[0] == 1


def test_inference_tensors_run():
    with torch.inference_mode():
        assert runs_again(lambda a, b, c, x: c(b(a(x)))) == [1, 1, 1]
