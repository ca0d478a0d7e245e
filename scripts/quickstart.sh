#!/usr/bin/env bash
# Sets everything up and quantizes the embedded default model on the photographs in tests/data.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"

make_environment ""
say "quantize the embedded default"
"$root/.venv/bin/hybridquant" quantize default \
  --calib "$root/tests/data/imagenette_calib.tar" \
  --eval "$root/tests/data/imagenette_val.tar" \
  --out "$root/out/quickstart" --threads 1 "$@"
