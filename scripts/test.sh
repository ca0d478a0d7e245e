#!/usr/bin/env bash
# Sets everything up and passes every check and test, fastest failure first.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"
cd "$root"

make_environment "[dev]" clang libclang-rt-dev libgtest-dev libjpeg-dev libpng-dev
export PATH="$root/.venv/bin:$PATH"

say "format, lint, layers, types"
git ls-files -z '*.cpp' '*.h' | xargs -0 -r clang-format --dry-run --Werror
ruff format --check .
ruff check .
lint-imports
mypy

say "C++ tests, rings 0 and 1 alone, under address and undefined-behaviour sanitizers"
cmake --preset asan
cmake --build --preset asan
ctest --preset asan --output-on-failure

say "fuzz the model file's reader for a minute"
bash scripts/fuzz.sh

say "C++ tests, everything"
cmake --preset dev -DPython_EXECUTABLE="$python"
cmake --build --preset dev
ctest --preset dev --output-on-failure | tee build/ctest.log

say "Python tests"
status=0
HYBRIDQUANT_BUILD="$root/build/dev" python -m pytest "$@" | tee build/pytest.log || status=$?

say "summaries"
grep -E 'tests passed|Total Test time' build/ctest.log
tail -n 1 build/pytest.log
exit "$status"
