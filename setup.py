"""Builds the C++ parts with CMake; everything else is in pyproject.toml."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent


def find_tool(name: str) -> str | None:
    """Return a tool's path: the running Python's own comes first, also if it is not activated."""
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which(name, path=search)


class CMakeBuild(build_ext):
    """Runs CMake once and installs its two libraries into the package."""

    def build_extension(self, ext: Extension) -> None:
        self.cmake, ninja = find_tool("cmake"), find_tool("ninja")
        if self.cmake is None:
            msg = "hybridquant: cmake must be installed; run: pip install cmake ninja"
            raise SystemExit(msg)
        self.build = Path(self.build_temp).resolve()
        configure = [
            *(self.cmake, "-S", str(ROOT), "-B", str(self.build), "-DCMAKE_BUILD_TYPE=Release"),
            f"-DPython_EXECUTABLE={sys.executable}",
            "-DHYBRIDQUANT_BUILD_TESTS=OFF",
        ]
        if ninja is not None:
            configure += ["-GNinja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
        subprocess.run(configure, check=True)
        subprocess.run([self.cmake, "--build", str(self.build), "--parallel"], check=True)
        self.install_libraries(Path(self.get_ext_fullpath(ext.name)).parent)

    def copy_extensions_to_source(self) -> None:
        """Put the libraries beside the sources, for an editable installation."""
        self.install_libraries(
            Path(self.get_finalized_command("build_py").get_package_dir("hybridquant"))
        )

    def install_libraries(self, package: Path) -> None:
        install = [self.cmake, "--install", str(self.build), "--component", "python"]
        subprocess.run([*install, "--prefix", str(package.resolve())], check=True)


setup(
    ext_modules=[Extension("hybridquant._C", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
)
