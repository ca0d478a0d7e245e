"""The scripts that set the project up."""

import shutil
import subprocess
from pathlib import Path

SETUP = Path(__file__).parents[2] / "scripts" / "setup_env.sh"


def test_all_missing_packages_are_named_at_once(tmp_path: Path) -> None:
    """On a machine with a shell, no Python and no compiler, whose user is not root."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("dirname", "grep"):
        (tools / name).symlink_to(str(shutil.which(name)))
    for name, line in (("id", "echo 1000"), ("dpkg-query", "exit 1")):
        (tools / name).write_text(f"#!/bin/bash\n{line}\n", encoding="utf-8")
        (tools / name).chmod(0o755)
    scripts = tmp_path / "a checkout" / "scripts"
    scripts.mkdir(parents=True)
    shutil.copy(SETUP, scripts)
    run = subprocess.run(
        ["/bin/bash", "-euc", '. ./setup_env.sh; make_environment "[dev]" libgtest-dev'],
        cwd=scripts,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    packages = "libgtest-dev g++ nlohmann-json3-dev python3 python3-venv python3-dev"
    assert run.returncode == 1
    assert run.stderr == f"error: please install first: apt-get install {packages}\n"
