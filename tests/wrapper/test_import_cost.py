"""What observing imports may cost, in instructions: the same number at each run, however busy the machine is."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from coldspan_testing import cache, interpreters

BENCHMARK = cache.CHECKOUT / "benchmarks" / "imports.py"
CEILING = 0.08
"""Of the instructions that the import of a one-line module takes; 0.06 when this was written."""


@pytest.mark.parametrize("version", [interpreters.VERSIONS[0], interpreters.VERSIONS[-1]])
def test_observing_an_import_takes_a_small_part_of_its_instructions(version: str) -> None:
    if shutil.which("valgrind") is None:
        if os.environ.get("CI"):
            pytest.fail("CI is set, and valgrind is not on this machine")
        pytest.skip("no valgrind on this machine: apt-get install valgrind")
    python = str(interpreters.executable(version))
    command = [sys.executable, "-I", str(BENCHMARK), "--python", python, "--instructions", "200"]
    bare, more = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert 0 < more < CEILING * bare, f"{more:,} instructions a module more than {bare:,}"
