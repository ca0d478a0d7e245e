"""Choosing some images of many."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def draw(labels: Sequence[int], num_images: int, seed: int) -> list[int]:
    """Return the positions of ``num_images`` images, as equal in number a class as can be.

    Classes take turns, so every run of consecutive images mixes them, and a smaller draw with the
    same seed is the beginning of a larger one.

    Args:
        labels: Class of each image.
        num_images: How many to draw, 1 to ``len(labels)``.
        seed: Of the generator.

    Example:
        >>> [[0, 0, 0, 0, 1, 1][i] for i in draw([0, 0, 0, 0, 1, 1], 5, seed=0)]
        [1, 0, 1, 0, 0]
    """
    generator = torch.Generator().manual_seed(seed)
    positions: dict[int, list[int]] = {label: [] for label in sorted(set(labels))}
    for position, label in enumerate(labels):
        positions[label].append(position)
    queues = [
        [members[i] for i in torch.randperm(len(members), generator=generator).tolist()]
        for members in positions.values()
    ]
    turns = torch.randperm(len(queues), generator=generator).tolist()
    longest = max(map(len, queues))
    drawn = [queues[t][r] for r in range(longest) for t in turns if r < len(queues[t])]
    return drawn[:num_images]
