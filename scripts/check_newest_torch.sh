#!/usr/bin/env bash
# Proves that the wheel built for the environment's torch also works with the newest torch: the same
# libhybridquant_ops.so, in a second environment under build/, passes the tests of the ops, of capture,
# of quantized graphs and of TorchScript files, and does the main job.
# Usage: bash scripts/check_newest_torch.sh [TORCH_VERSION TORCHVISION_VERSION]
# PYTHON names the environment's interpreter; .venv/bin/python unless set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
torch=${1:-2.15.0}
torchvision=${2:-0.29.2}
base=${PYTHON:-.venv/bin/python}
newest=build/torch-$torch/bin/python

"$base" -c 'import torch' 2>/dev/null || {
  echo "error: $base must have torch; run bash scripts/quickstart.sh first" >&2
  exit 1
}
rm -rf build/newest-wheel
"$base" -m pip wheel -q --disable-pip-version-check --no-build-isolation --no-deps \
  -w build/newest-wheel .
[ -x "$newest" ] || "$base" -m venv "build/torch-$torch"
"$newest" -m pip install -q --disable-pip-version-check "torch==$torch" "torchvision==$torchvision" \
  pytest
"$newest" -m pip install -q --disable-pip-version-check --force-reinstall --no-deps \
  build/newest-wheel/hybridquant-*.whl
# What the wheel needs besides torch.
"$newest" -m pip install -q --disable-pip-version-check build/newest-wheel/hybridquant-*.whl

echo "built with torch $("$base" -c 'import torch; print(torch.__version__)')"
"$newest" -c '
import hashlib, platform, torch
from hybridquant.ops import build_info, library
digest = hashlib.sha256(library.LIBRARY.read_bytes()).hexdigest()[:16]
print(f"run with torch {torch.__version__}, Python {platform.python_version()}")
print(f"{library.LIBRARY.name} {digest}, {build_info()}")'
# The tests of the environment it was built in: eager, gradients, script, trace, export, opcheck,
# capture, errors, TorchScript files. Warnings of a newer torch are its own business.
"$newest" -m pytest -q -p no:cacheprovider -W ignore tests/python/ops tests/python/quantizers \
  tests/python/capture tests/python/test_quant_graph.py tests/python/export
# The main job, and its file read again.
rm -rf "build/newest-out"
"$newest" -W ignore -m hybridquant quantize default --calib tests/data/imagenette_calib.tar \
  --images 32 --eval tests/data/imagenette_val.tar --out build/newest-out --threads 1
"$newest" -W ignore -m hybridquant evaluate build/newest-out/model.fakequant.pt \
  --data tests/data/imagenette_val.tar --threads 1
echo "check_newest_torch: OK"
