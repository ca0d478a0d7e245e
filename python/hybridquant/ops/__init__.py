"""The compiled ops: fake-quantization to affine codes and to levels, quantization and back.

The rule is in ``docs/arithmetic.md``. Importing this package loads the ops library into torch.
"""

from __future__ import annotations

from hybridquant.ops.library import load_library

load_library()

from hybridquant.ops.fakes import register_fakes  # noqa: E402  (needs a loaded library)

register_fakes()

from hybridquant.ops import autograd  # noqa: E402, F401  (registers on operators that are there)
from hybridquant.ops.affine import (  # noqa: E402
    dequantize_affine,
    fake_quant_affine,
    quantize_affine,
)
from hybridquant.ops.info import build_info  # noqa: E402
from hybridquant.ops.levels import fake_quant_levels  # noqa: E402

__all__ = [
    "build_info",
    "dequantize_affine",
    "fake_quant_affine",
    "fake_quant_levels",
    "quantize_affine",
]
