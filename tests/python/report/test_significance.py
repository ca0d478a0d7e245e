"""Intervals and tests beside sums of binomial coefficients."""

import math

import pytest

from hybridquant.report import mcnemar, wilson_interval


def summed(first_only: int, second_only: int) -> float:
    total = first_only + second_only
    tail = sum(math.comb(total, k) for k in range(min(first_only, second_only) + 1))
    return min(1.0, 2 * tail / 2**total)


@pytest.mark.parametrize("total", [1, 2, 5, 10, 37, 400])
def test_mcnemar_is_exact(total: int) -> None:
    for first_only in range(total + 1):
        p = mcnemar(first_only, total - first_only)
        assert p == pytest.approx(summed(first_only, total - first_only), rel=1e-12, abs=0)
        assert p == mcnemar(total - first_only, first_only)


def test_mcnemar_of_textbooks() -> None:
    # Agresti, Categorical Data Analysis, table 10.1: 150 and 86 of 1600 voters change their minds,
    # z^2 = 17.36; exactly, as any statistics package has it, p = 3.7e-5.
    assert mcnemar(150, 86) == pytest.approx(3.7e-5, rel=0.02)
    # Five coins, all on one side.
    assert mcnemar(5, 0) == 2 / 32


def test_many_images_are_approximated_closely() -> None:
    for difference in (1, 51, 101, 201):
        first_only = (2001 + difference) // 2
        approximate = mcnemar(first_only, 2001 - first_only)
        assert approximate == pytest.approx(summed(first_only, 2001 - first_only), abs=1e-4)


def test_bad_counts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mcnemar: counts must be at least 0, got 3 and -1"):
        mcnemar(3, -1)
    for hits, images in ((1, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match=f"wilson_interval: hits .* got {hits} of {images}"):
            wilson_interval(hits, images)


def test_the_interval_solves_the_score_equation() -> None:
    for hits, images in ((0, 7), (3, 10), (399, 400), (400, 400)):
        share = hits / images
        for end in wilson_interval(hits, images, 2.0):
            if 0 < end < 1:
                assert (share - end) ** 2 == pytest.approx(4 * end * (1 - end) / images)
