"""How learning rates go over a run."""

from __future__ import annotations

import math


def rate(step: int, num_steps: int, warmup: float) -> float:
    """Return the share of the largest learning rate at ``step``: a short rise, then half a cosine.

    Args:
        step: From 0.
        num_steps: Of the run.
        warmup: Share of the steps in which the rate rises linearly, below 1.

    Example:
        >>> [round(rate(step, 5, 0.4), 2) for step in range(5)]
        [0.5, 1.0, 1.0, 0.75, 0.25]
    """
    num_rising = math.ceil(warmup * num_steps)
    if step < num_rising:
        return (step + 1) / num_rising
    return 0.5 * (1 + math.cos(math.pi * (step - num_rising) / (num_steps - num_rising)))
