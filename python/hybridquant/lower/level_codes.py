"""Levels in integers: codes of what a quantizer with levels reads, and of its levels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hybridquant.lower.int_graph import Codes
from hybridquant.quantizers.level_fake_quant import LevelFakeQuant

# Shares of a softmax: exponentials of 16 bits tell no finer ones apart.
_SHARES = Codes("int16", 1 / 65535, -(2**15), -(2**15), 2**15 - 1)
_STEPS = 65535
# An input's codes reach a little beyond the outermost thresholds.
_INPUT_STEPS = 65530
# A level may be so far from an integer of its grid to be one: float32 rounds it by no more.
_EXACT = 2.0**-7
# Steps that the smallest level may have.
_LARGEST_UNIT = 64
# Thresholds beyond are those of levels that no value has.
_UNREACHED = 1e30


@dataclass(frozen=True)
class LevelCodes:
    """A quantizer with levels in integers.

    Args:
        inputs: Codes of what it reads.
        thresholds: int32 [n - 1], ascending: the smallest input code of each level but the first.
        codes: Codes of its levels.
        levels: The code of each level, [n].
    """

    inputs: Codes
    thresholds: Tensor
    codes: Codes
    levels: Tensor


def level_codes(module: LevelFakeQuant, *, reads_shares: bool) -> LevelCodes:
    """Return a calibrated quantizer in integers.

    Levels are integers of one grid where they are multiples of a 64th of the smallest, or of a
    larger part of it, and the whole range takes at most 65,535 steps. They are rounded to 65,535
    steps of their range otherwise. A threshold becomes the smallest input code at or above it.

    Args:
        module: The quantizer; one scale.
        reads_shares: Whether its input is a softmax, in shares of 16 bits.
    """
    scale = module.scale.detach().double()
    values = module.levels.double() * scale
    edges = module.thresholds.double() * scale
    inputs = _SHARES if reads_shares else _input_codes(edges)
    # Of a threshold that no code reaches: one behind the last.
    thresholds = torch.ceil(edges / inputs.scale) + inputs.zero_point
    thresholds = thresholds.clamp(inputs.lowest, inputs.highest + 1).to(torch.int32)
    found = integer_levels(values, _STEPS)
    if found is None:
        step = float(values.clamp(min=0).max() - values.clamp(max=0).min()) / _STEPS
        found = torch.round(values / step).long(), step
    integers, step = found
    codes = _codes_of(integers, step)
    return LevelCodes(inputs, thresholds, codes, integers + codes.zero_point)


def integer_levels(values: Tensor, steps: int) -> tuple[Tensor, float] | None:
    """Return values as integers of the coarsest grid that has them all, and its step.

    Args:
        values: Not all 0, float64.
        steps: How many the range of the values and 0 may take.

    Returns:
        None where there is no such grid.

    Example:
        >>> integer_levels(torch.tensor([0.0, 0.25, 0.375, 1.0]).double(), 255)
        (tensor([0, 2, 3, 8]), 0.125)
    """
    magnitudes = values.abs()
    smallest = float(magnitudes[magnitudes > 0].min())
    for parts in range(1, _LARGEST_UNIT + 1):
        exact = values * (parts / smallest)
        integers = torch.round(exact)
        span = float(integers.clamp(min=0).max() - integers.clamp(max=0).min())
        if span <= steps and float((exact - integers).abs().max()) <= _EXACT:
            # The largest magnitude fixes the step best.
            at = int(magnitudes.argmax())
            return integers.long(), float(values[at] / integers[at])
    return None


def _input_codes(edges: Tensor) -> Codes:
    """Return int16 codes from below the first to above the last threshold."""
    edges = edges[edges < _UNREACHED]
    low, high = float(edges.min().clamp(max=0)), float(edges.max().clamp(min=0))
    step = (high - low) / _INPUT_STEPS
    zero_point = -(2**15) + 2 + round(-low / step)
    return Codes("int16", step, zero_point, -(2**15), 2**15 - 1)


def _codes_of(integers: Tensor, step: float) -> Codes:
    """Return the smallest codes that hold the integers and 0."""
    lowest, highest = min(0, int(integers.min())), max(0, int(integers.max()))
    for dtype, least, most in (("uint8", 0, 255), ("int8", -128, 127), ("int16", -32768, 32767)):
        if least <= lowest and highest <= most:
            return Codes(dtype, step, 0, lowest, highest)
    if highest - lowest <= 255:
        return Codes("uint8", step, -lowest, 0, highest - lowest)
    zero_point = -(2**15) - lowest
    return Codes("int16", step, zero_point, -(2**15), highest + zero_point)
