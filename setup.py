"""Builds the C++ parts with CMake, and says where the packages are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zlib
from importlib.util import find_spec
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
if not find_spec("setuptools.command.bdist_wheel") and not find_spec("wheel"):
    msg = "hybridquant: setuptools must be 70.1 or later; run: pip install -U 'setuptools<82'"
    raise SystemExit(msg)


def find_tool(name: str) -> str | None:
    """Return a tool's path: the running Python's own comes first, also if it is not activated."""
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which(name, path=search)


class FreshBuildPy(build_py):
    """Starts from an empty folder: registries scan theirs, so a module that was removed must go."""

    def run(self) -> None:
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class CMakeBuild(build_ext):
    """Runs CMake once and installs its two libraries into the package."""

    # A folder of its own for each Python and checkout, kept, so that building again is quick.
    build = ROOT / "build" / f"pip-{zlib.crc32(f'{sys.executable}:{ROOT}'.encode()):08x}"

    def build_extension(self, ext: Extension) -> None:
        self.cmake, ninja = find_tool("cmake"), find_tool("ninja")
        if self.cmake is None:
            msg = "hybridquant: cmake must be installed; run: pip install cmake ninja"
            raise SystemExit(msg)
        configure = [
            *(self.cmake, "-S", str(ROOT), "-B", str(self.build), "-DCMAKE_BUILD_TYPE=Release"),
            f"-DPython_EXECUTABLE={sys.executable}",
            "-DHYBRIDQUANT_BUILD_TESTS=OFF",
            "-DHYBRIDQUANT_BUILD_RUNNER=OFF",
        ]
        if ninja is not None:
            configure += ["-GNinja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
        subprocess.run(configure, check=True)
        subprocess.run([self.cmake, "--build", str(self.build), "--parallel"], check=True)
        self.install_libraries(Path(self.get_ext_fullpath(ext.name)).parent)

    def copy_extensions_to_source(self) -> None:
        """Put the libraries beside the sources, for an editable installation."""
        build_py = self.get_finalized_command("build_py")
        self.install_libraries(Path(build_py.get_package_dir("hybridquant")))

    def install_libraries(self, package: Path) -> None:
        install = [self.cmake, "--install", str(self.build), "--component", "python"]
        subprocess.run([*install, "--prefix", str(package.resolve())], check=True)


setup(
    # Not in pyproject.toml: there, setuptools before 77 refuses a name. A new environment of
    # Python 3.11 holds 65.
    license="BSD-3-Clause",
    packages=[*find_packages("python"), "hybridquant.configs"],
    py_modules=["hybridquant_cli"],
    package_dir={"": "python", "hybridquant.configs": "configs"},
    package_data={
        "hybridquant": ["py.typed", "_C.pyi"],
        "hybridquant.configs": ["*/*.yaml"],
        "hybridquant.report": ["page.html.j2"],
        "hybridquant.models": ["checkpoints/*.safetensors", "checkpoints/*.json"],
    },
    # Settings of scripts/train_reference.py, which is not installed either.
    exclude_package_data={"hybridquant.configs": ["train/*.yaml"]},
    ext_modules=[Extension("hybridquant._C", sources=[])],
    cmdclass={"build_ext": CMakeBuild, "build_py": FreshBuildPy},
)
