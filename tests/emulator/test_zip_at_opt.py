"""The zip as Lambda uses it: unpacked at /opt, in a mount namespace of its own, under the local Lambda service."""

import json
import os
import shlex
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

from coldspan_layer import builder
from coldspan_testing import interpreters
from coldspan_testing.emulator import isolated

PYTHON = "3.12"
FUNCTION = Path(__file__).parent / "function"


def unpack(layer: Path, target: Path) -> Path:
    """As Lambda does: with the modes that the zip has."""
    with zipfile.ZipFile(layer) as opened:
        for member in opened.infolist():
            path = Path(opened.extract(member, target))
            path.chmod(stat.S_IMODE(member.external_attr >> 16) | (0o755 if path.is_dir() else 0))
    return target


def test_the_unpacked_zip_works_at_opt(tmp_path: Path) -> None:
    namespace = isolated()
    builder.build(tmp_path / "layer.zip", python=PYTHON, arch=builder.current_arch())
    tree = unpack(tmp_path / "layer.zip", tmp_path / "tree")
    run = [str(Path(sys.executable).with_name("coldspan")), "run", "--json", "--layer", "/opt", "-n", "2"]
    run += ["--python", str(interpreters.runtime(PYTHON)), str(FUNCTION)]
    script = f"mount --bind {shlex.quote(str(tree))} /opt && exec {shlex.join(run)}"
    environment = {**os.environ, "PATH": interpreters.search_path(PYTHON)}
    done = subprocess.run(
        [*namespace, "sh", "-c", script], capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    exports = [json.loads(line) for line in done.stdout.splitlines()]
    spans = [s for e in exports for r in e["resourceSpans"] for scope in r["scopeSpans"] for s in scope["spans"]]
    colds = [
        attribute["value"]["boolValue"]
        for span in spans
        if span["kind"] == 2
        for attribute in span["attributes"]
        if attribute["key"] == "faas.coldstart"
    ]
    assert colds == [True, False]
    assert {span["name"] for span in spans} >= {"init", "load handler", "next", "handler", "response"}
