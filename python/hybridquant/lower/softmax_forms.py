"""Published integer exponentials for softmax, as tables; docs/arithmetic.md has the formulas."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

SoftmaxForm = Literal["linear", "polynomial", "shift"]

# e^r ~ 0.08947606 r + 0.12121466 on (-ln 2, 0]; a common factor cancels.
_LINEAR = 0.12121466 / 0.08947606
# e^r ~ a r^2 + b r + c
_A, _B, _C = 0.35815147, 0.96963238, 1.0
_OCTAVES = {"linear": 30, "polynomial": 30, "shift": 15}
_SUM_BITS = 53
_PRODUCT_BITS = 61


@dataclass(frozen=True)
class SoftmaxFormula:
    """Integers of an exponential.

    Args:
        form: Which formula.
        octaves: How many halvings there are before the exponential stays as it is.
        x0: Codes that halve the exponential.
        b: Of ``linear`` and ``polynomial``, else 0.
        c: Of ``polynomial``, else 0.
    """

    form: SoftmaxForm
    octaves: int
    x0: int
    b: int
    c: int


def softmax_formula(form: SoftmaxForm, scale: float, row_size: int, m: int) -> SoftmaxFormula:
    """Return the integers of a form for logits of a scale.

    Args:
        form: ``linear``, ``polynomial`` or ``shift``.
        scale: Of the logits, above 0 and at most ln 2, for ``shift`` at most 1.
        row_size: Codes of a row.
        m: Of the softmax, ``rint(2^8 / scale of the output)``.

    Raises:
        ValueError: If the scale is too coarse for the form, or so fine that sums leave 53 bits.

    Source:
        HyQ (IJCAI 2024, 474), I-BERT (arXiv 2101.01321) and I-ViT (arXiv 2207.01405), from their
        released code: x0 rounds up, the others down. ``octaves`` is theirs, or what the sums allow.
    """
    octave = 1.0 if form == "shift" else math.log(2)
    if not 0 < scale <= octave:
        msg = f"softmax_formula: scale must be in (0, {octave:.4g}], got {scale}; use a finer one"
        raise ValueError(msg)
    x0 = math.ceil(octave / scale)
    b = {"linear": _LINEAR, "polynomial": _B / _A, "shift": 0.0}[form]
    c = _C / _A / scale**2 if form == "polynomial" else 0.0
    largest = math.floor({"linear": b / scale, "polynomial": c, "shift": x0}[form])
    room = min((2**_SUM_BITS - 1) // (largest * row_size), (2**_PRODUCT_BITS - 1) // (largest * m))
    octaves = min(_OCTAVES[form], room.bit_length() - 1)
    if octaves < 1:
        msg = f"softmax_formula: scale must be coarser for rows of {row_size}, got {scale}"
        raise ValueError(msg)
    return SoftmaxFormula(form, octaves, x0, math.floor(b / scale), math.floor(c))


def softmax_exponentials(formula: SoftmaxFormula, count: int) -> Tensor:
    """Return the exponentials of the distances 0 to ``count - 1`` from the largest code, int64.

    Example:
        >>> softmax_exponentials(SoftmaxFormula("linear", 15, x0=7, b=13, c=0), 8).tolist()
        [425984, 393216, 360448, 327680, 294912, 262144, 229376, 212992]
    """
    y = -torch.arange(count)
    if formula.form == "shift":
        y = y + (y >> 1) - (y >> 4)
    y = y.clamp(min=-formula.octaves * formula.x0)
    octaves = torch.div(-y, formula.x0, rounding_mode="floor")
    r = y + octaves * formula.x0
    e = {
        "linear": r + formula.b,
        "polynomial": r * (r + formula.b) + formula.c,
        "shift": formula.x0 + (r >> 1),
    }[formula.form]
    return e << (formula.octaves - octaves)
