"""What chance alone makes of accuracies that are measured on few images."""

from __future__ import annotations

import math

# Up to so many images on which two models differ the test counts exactly. Above, the normal
# approximation is off by less than 1e-4 in probability, and exact numbers have thousands of digits.
_EXACT = 2000


def wilson_interval(hits: int, images: int, sigmas: float = 1.96) -> tuple[float, float]:
    """Return the Wilson score interval of a share, ``hits`` of ``images``, as two shares.

    Args:
        hits: Images of which something is true, 0 to ``images``.
        images: All images, at least 1.
        sigmas: Half width in standard deviations; 1.96 is 95 %.

    Raises:
        ValueError: If there is no image, or there are more hits than images.

    Source:
        E. B. Wilson, 1927, "Probable inference, the law of succession".

    Example:
        >>> low, high = wilson_interval(80, 100)
        >>> print(f"{low:.3f} {high:.3f}")
        0.711 0.867
    """
    if images < 1 or not 0 <= hits <= images:
        msg = (
            "wilson_interval: hits must be 0 to images, of which there must be one at least, got "
            f"{hits} of {images}"
        )
        raise ValueError(msg)
    n, p, z2 = images, hits / images, sigmas * sigmas
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = sigmas / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar(first_only: int, second_only: int) -> float:
    """Return McNemar's two-sided p-value for two models on the same images.

    Were both equally good, the images on which only one is right would fall to either like tossed
    coins. The p-value is the probability that coins fall at least as unevenly. It is exact (the
    binomial distribution) up to 2000 such images, above it is the normal approximation with
    Edwards' correction. 1 where the models are right on the same images.

    Args:
        first_only: Images on which the first model is right and the second wrong.
        second_only: Images on which the second model is right and the first wrong.

    Raises:
        ValueError: If a count is negative.

    Source:
        Q. McNemar, 1947, "Note on the sampling error of the difference between correlated
        proportions or percentages"; A. L. Edwards, 1948, for the correction.

    Example:
        Ten tosses of which one falls the other way: 2 (1 + 10) / 1024.

        >>> print(f"{mcnemar(1, 9):.6f} {mcnemar(9, 1):.6f} {mcnemar(0, 0):.0f}")
        0.021484 0.021484 1
        >>> print(f"{mcnemar(1000, 1000):.3f} {mcnemar(1100, 1000):.4f}")
        1.000 0.0307
    """
    if min(first_only, second_only) < 0:
        msg = f"mcnemar: counts must be at least 0, got {first_only} and {second_only}"
        raise ValueError(msg)
    fewer, total = min(first_only, second_only), first_only + second_only
    if total > _EXACT:
        deviation = max(abs(first_only - second_only) - 1, 0) / math.sqrt(total)
        return math.erfc(deviation / math.sqrt(2))
    ways = tail = 1
    for k in range(1, fewer + 1):
        ways = ways * (total - k + 1) // k
        tail += ways
    # Python divides integers of any size exactly to the last bit.
    return min(1.0, 2 * tail / (1 << total))
