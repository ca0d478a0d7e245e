"""Times fake_quant_affine against torch's own ops on the activations of MobileViT-S.

Ours and theirs run in turns in one process, so that what else the machine does hits both. A ratio
above 1 means that ours is faster. Exits with 1 if a total is below its target.

Usage: python scripts/bench/fake_quant.py [--batch 32] [--rounds 5] [--threads 1 2]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import timm
import torch
from torch import Tensor, nn

from hybridquant.ops import build_info

OURS = torch.ops.hybridquant.fake_quant_affine
QMIN, QMAX = 0, 255
SEED = 0
FORWARD_TARGET, LEARNED_TARGET = 1.0, 1.5
MIN_SECONDS = 0.1  # of theirs for each race, so that small activations have many rounds


@dataclass(frozen=True)
class Race:
    """Seconds per round of both sides on one activation, and the largest difference of results."""

    shape: tuple[int, ...]
    ours: list[float]
    theirs: list[float]
    difference: float

    @property
    def ratio(self) -> float:
        """Return how many times faster ours is, by the minima."""
        return min(self.theirs) / min(self.ours)


def activations(batch: int) -> list[Tensor]:
    """Return the inputs of MobileViT-S's convolutions and linear layers, one of each shape."""
    torch.manual_seed(SEED)
    model = timm.create_model("mobilevit_s").eval()
    found: dict[tuple[int, ...], Tensor] = {}

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found.setdefault(tuple(inputs[0].shape), inputs[0].detach().clone())

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_pre_hook(keep)
    with torch.no_grad():
        model(torch.randn(batch, 3, 256, 256))
    return list(found.values())


def parameters(x: Tensor, axis: int | None) -> tuple[Tensor, Tensor]:
    """Return the scales and zero-points of the range of ``x``, per channel if ``axis`` is given."""
    channels = x.transpose(0, axis).flatten(1) if axis is not None else x.flatten()[None]
    low, high = channels.amin(1).clamp(max=0), channels.amax(1).clamp(min=0)
    scale = ((high - low) / (QMAX - QMIN)).clamp(min=1e-6)
    return scale, (-low / scale).round().clamp(QMIN, QMAX)


def race(x: Tensor, ours: Callable[[], Tensor], theirs: Callable[[], Tensor], rounds: int) -> Race:
    """Run both in turns, for at least MIN_SECONDS; the first round warms up and is not counted."""
    seconds: tuple[list[float], list[float]] = ([], [])
    difference = float((ours() - theirs()).abs().max())
    theirs()
    while len(seconds[1]) < rounds or sum(seconds[1]) < MIN_SECONDS:
        for side, run in zip(seconds, (ours, theirs), strict=True):
            start = time.perf_counter()
            run()
            side.append(time.perf_counter() - start)
    return Race(tuple(x.shape), *seconds, difference)


def forward(x: Tensor, axis: int | None, rounds: int) -> Race:
    """Race the forward passes; the results are compared."""
    scale, zero_point = parameters(x, axis)

    def ours() -> Tensor:
        return OURS(x, scale, zero_point, axis or 0, QMIN, QMAX)

    def theirs() -> Tensor:
        if axis is None:
            s, z = float(scale), int(zero_point)
            return torch.fake_quantize_per_tensor_affine(x, s, z, QMIN, QMAX)
        z = zero_point.int()
        return torch.fake_quantize_per_channel_affine(x, scale, z, axis, QMIN, QMAX)

    with torch.no_grad():
        return race(x, ours, theirs, rounds)


def learned(x: Tensor, axis: int | None, rounds: int) -> Race:
    """Race forward and backward with learned scale and zero-point; gradients of x are compared."""
    leaves = [p.clone().requires_grad_() for p in (x, *parameters(x, axis))]
    g = torch.randn_like(x)

    def run(op: Callable[[], Tensor]) -> Tensor:
        for leaf in leaves:
            leaf.grad = None
        op().backward(g)
        gradient = leaves[0].grad
        assert gradient is not None
        return gradient

    def ours() -> Tensor:
        return OURS(*leaves, axis or 0, QMIN, QMAX)

    def theirs() -> Tensor:
        if axis is None:
            return torch._fake_quantize_learnable_per_tensor_affine(*leaves, QMIN, QMAX, 1.0)
        return torch._fake_quantize_learnable_per_channel_affine(*leaves, axis, QMIN, QMAX, 1.0)

    return race(x, lambda: run(ours), lambda: run(theirs), rounds)


def rows(
    inputs: list[Tensor], threads: list[int], rounds: int
) -> Iterator[tuple[int, str, float, list[Race]]]:
    """Yield the threads, what is timed, its target and the race of each activation."""
    for count in threads:
        torch.set_num_threads(count)
        for per_channel in (False, True):
            for name, target, run in (
                ("forward", FORWARD_TARGET, forward),
                ("forward+backward, learned", LEARNED_TARGET, learned),
            ):
                label = f"{name}, per {'channel' if per_channel else 'tensor'}"
                races = [
                    run(x, (1 if x.dim() == 4 else x.dim() - 1) if per_channel else None, rounds)
                    for x in inputs
                ]
                yield count, label, target, races


def main() -> int:
    """Print the table; return 1 if a total is below its target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    inputs = activations(arguments.batch)
    sizes = [x.numel() for x in inputs]
    print(f"torch {torch.__version__}, hybridquant {build_info()}")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"
    )
    print(
        f"{len(inputs)} activations of {min(sizes)} to {max(sizes)} elements: MobileViT-S with "
        f"random weights on {arguments.batch} random images, seed {SEED}"
    )
    print("ours and theirs: sums over the activations; worst: of the minima, and its shape\n")
    head = ("thr", "what", "ours ms", "theirs ms", "min", "median", "worst", "", "diff")
    line = "{:>3}  {:<38} {:>8} {:>9} {:>6} {:>6} {:>6}  {:<20} {:>8}"
    print(line.format(*head))
    missed = False
    for count, label, target, races in rows(inputs, arguments.threads, arguments.rounds):
        ours, theirs = (sum(min(getattr(r, s)) for r in races) for s in ("ours", "theirs"))
        medians = [sum(statistics.median(getattr(r, s)) for r in races) for s in ("theirs", "ours")]
        worst = min(races, key=lambda r: r.ratio)
        missed |= theirs / ours < target
        numbers = (f"{1e3 * ours:.1f}", f"{1e3 * theirs:.1f}", f"{theirs / ours:.2f}x")
        shape = "x".join(map(str, worst.shape))
        difference = f"{max(r.difference for r in races):g}"
        median = f"{medians[0] / medians[1]:.2f}x"
        worst_ratio = f"{worst.ratio:.2f}x"
        print(line.format(count, label, *numbers, median, worst_ratio, shape, difference))
    print(f"\ntargets: forward {FORWARD_TARGET}x, learned {LEARNED_TARGET}x: ", end="")
    print("missed" if missed else "reached")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
