"""What a layer is built for: a Python version and an architecture, as Lambda and as pip name them. Pure."""

import platform
import re
import sys
from dataclasses import dataclass

from coldspan_layer.errors import BuildError

# As Lambda names them, with the machine's name in a wheel's platform tag.
ARCHITECTURES = {"x86_64": "x86_64", "arm64": "aarch64"}

OLDEST_PYTHON_MINOR = 10  # Lambda's oldest Python runtime that still gets updates

# glibc of the runtimes' operating systems: Amazon Linux 2 up to python3.11, Amazon Linux 2023 from python3.12 on.
LAST_MINOR_ON_AMAZON_LINUX_2 = 11
GLIBC_MINOR_AMAZON_LINUX_2 = 26
GLIBC_MINOR_AMAZON_LINUX_2023 = 34

# PEP 600: manylinux_2_17 is the oldest of the numbered tags that projects still publish; manylinux2014 is its old name.
OLDEST_GLIBC_MINOR = 17


@dataclass(frozen=True, slots=True)
class Target:
    """A Python version such as "3.13" and one of ARCHITECTURES."""

    python: str
    arch: str

    @property
    def platforms(self) -> list[str]:
        """The platform tags of the wheels that run there, best first. pip takes each tag literally: name them all."""
        minor = int(self.python.partition(".")[2])
        on_amazon_linux_2 = minor <= LAST_MINOR_ON_AMAZON_LINUX_2
        glibc = GLIBC_MINOR_AMAZON_LINUX_2 if on_amazon_linux_2 else GLIBC_MINOR_AMAZON_LINUX_2023
        machine = ARCHITECTURES[self.arch]
        numbered = [f"manylinux_2_{n}_{machine}" for n in range(glibc, OLDEST_GLIBC_MINOR - 1, -1)]
        return [*numbered, f"manylinux2014_{machine}"]


def parse(python: str, arch: str) -> Target:
    """Raises BuildError for what Lambda has no runtime for."""
    version = re.fullmatch(r"3\.(\d{1,3})", python)
    if version is None or int(version[1]) < OLDEST_PYTHON_MINOR:
        raise BuildError(
            f"--python {python}: expected 3.{OLDEST_PYTHON_MINOR} or a later one of Lambda's, such as 3.13"
        )
    if arch not in ARCHITECTURES:
        raise BuildError(f"--arch {arch}: expected one of {', '.join(ARCHITECTURES)}")
    return Target(python, arch)


def current_python() -> str:
    """The version of the interpreter that runs this, such as "3.13"."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def current_arch() -> str:
    """This machine's architecture as Lambda names it; for machines that Lambda does not have, x86_64."""
    return "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
