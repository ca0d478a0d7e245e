#!/usr/bin/env bash
# Builds the fuzzer of model files with clang and runs it, from the golden models on.
# Usage: fuzz.sh [seconds]; 60 by default. A file that breaks something is left in build/fuzz.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-60}

cmake --preset fuzz
cmake --build --preset fuzz
rm -rf build/fuzz/seeds
mkdir -p build/fuzz/corpus build/fuzz/seeds
cp tests/golden/models/*.safetensors build/fuzz/seeds

# A file of 64 KiB may ask for as much as docs/format.md allows, and no more.
exec build/fuzz/tests/fuzz/model_file_fuzz -seed=1 -max_total_time="$seconds" -max_len=65536 \
  -timeout=30 -malloc_limit_mb=1025 -rss_limit_mb=3072 -print_final_stats=1 \
  -artifact_prefix=build/fuzz/ build/fuzz/corpus build/fuzz/seeds
