# Sourced by quickstart.sh and test.sh: system packages, the virtual environment, the build.
# Defines $root (the checkout), $python (the environment's interpreter) and the functions below.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python="$root/.venv/bin/python"

# The pair the project is developed and tested with; the package itself accepts newer ones.
pinned=(torch==2.11.0 torchvision==0.26.0 timm==1.0.31)

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# need_packages PACKAGE...: installs the Debian packages that are missing when root, else names all.
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

# has_headers PYTHON: _C is compiled against Python's headers.
has_headers() {
  "$1" -c 'import sysconfig, pathlib, sys
sys.exit(not (pathlib.Path(sysconfig.get_paths()["include"]) / "Python.h").exists())' 2>/dev/null
}

# has_json: the runtime is compiled with the headers of a JSON library.
has_json() {
  c++ -E -x c++ -include nlohmann/json.hpp /dev/null >/dev/null 2>&1
}

# make_environment EXTRAS PACKAGE...: the packages, and .venv with torch, the build tools, and
# hybridquant built in place with its EXTRAS.
make_environment() {
  local extras=$1 needed=("${@:2}") base=python3
  "$python" -m pip --version >/dev/null 2>&1 && base=$python
  command -v c++ >/dev/null || needed+=(g++)
  has_json || needed+=(nlohmann-json3-dev)
  command -v "$base" >/dev/null || needed+=(python3)
  [ "$base" = "$python" ] || python3 -c 'import ensurepip' 2>/dev/null || needed+=(python3-venv)
  has_headers "$base" || needed+=(python3-dev)
  need_packages "${needed[@]}"
  "$base" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "python3 must be 3.10 or newer, got $("$base" --version)"
  if [ "$base" != "$python" ]; then
    say "create .venv"
    python3 -m venv --clear "$root/.venv"
  fi
  say "install torch and the build tools"
  "$python" -m pip install -q --disable-pip-version-check "${pinned[@]}" \
    'setuptools>=77' 'cmake>=3.25' ninja
  say "build and install hybridquant"
  # The environment's cmake and ninja must be found by the build.
  PATH="$root/.venv/bin:$PATH" "$python" -m pip install -q --disable-pip-version-check \
    --no-build-isolation -e "$root$extras"
}
