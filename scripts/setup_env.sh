# Sourced by quickstart.sh and test.sh: system packages, the virtual environment, the build.
# Defines $root (the checkout), $python (the environment's interpreter) and the functions below.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python="$root/.venv/bin/python"

# The pair the project is developed and tested with; the package itself accepts newer ones.
pinned=(torch==2.11.0 torchvision==0.26.0 timm==1.0.31)

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# need_packages PACKAGE...: installs the Debian packages that are missing when root, else says so.
need_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
      missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  [ "$(id -u)" -eq 0 ] || fail "please install first: apt-get install ${missing[*]}"
  say "apt-get install ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null
}

# make_environment EXTRAS: .venv with torch, the build tools, and hybridquant built in place.
make_environment() {
  command -v python3 >/dev/null || need_packages python3
  command -v c++ >/dev/null || need_packages g++
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "python3 must be 3.10 or newer, got $(python3 --version)"
  if ! "$python" -m pip --version >/dev/null 2>&1; then
    python3 -c 'import ensurepip' 2>/dev/null || need_packages python3-venv
    # _C is compiled against Python's headers.
    say "create .venv"
    python3 -m venv --clear "$root/.venv"
  fi
  "$python" -c 'import sysconfig, pathlib, sys
sys.exit(not (pathlib.Path(sysconfig.get_paths()["include"]) / "Python.h").exists())' ||
    need_packages python3-dev
  say "install torch and the build tools"
  "$python" -m pip install -q --disable-pip-version-check "${pinned[@]}" \
    'setuptools>=77' 'cmake>=3.25' ninja
  say "build and install hybridquant"
  # The environment's cmake and ninja must be found by the build.
  PATH="$root/.venv/bin:$PATH" "$python" -m pip install -q --disable-pip-version-check \
    --no-build-isolation -e "$root$1"
}
