"""TraceQL as Grafana's own grammar reads it (the npm package @grafana/lezer-traceql), run by node.

tests/support/traceql has the package by version and hash; npm's ordinary client puts it into the cache once. Where that
cannot be, a test is skipped with the reason; where CI is set, it fails.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from coldspan_testing import cache

SOURCE = cache.CHECKOUT / "tests" / "support" / "traceql"
FILES = ("package.json", "package-lock.json", "parse.js")
ERROR = "⚠"


@dataclass(frozen=True, slots=True)
class Node:
    """Of a syntax tree. `depth` 0 is the query."""

    name: str
    text: str
    depth: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """As it is written, such as `span.a.b`, `=~`, "`a|b`"."""

    field: str
    operator: str
    constant: str


@dataclass(frozen=True, slots=True)
class Query:
    """Its nodes, each before those within it."""

    nodes: list[Node]

    @property
    def errors(self) -> list[str]:
        """What follows each place where the grammar was left."""
        whole = self.nodes[0].text
        return [node.text or whole for node in self.nodes if node.name == ERROR]

    @property
    def attributes(self) -> set[tuple[str, str]]:
        """Scope and name of each attribute in it."""
        named = (node.text.partition(".") for node in self.nodes if node.name == "AttributeField")
        return {(scope, name) for scope, _, name in named}

    @property
    def filters(self) -> list[list[Comparison]]:
        """What each `{ ... }` in it asks of a span."""
        places = [index for index, node in enumerate(self.nodes) if node.name == "SpansetFilter"]
        return [[*self._comparisons(index)] for index in places]

    @property
    def aggregates(self) -> list[tuple[str, str]]:
        """Each function over time, and what it is of; empty for counts."""
        found = []
        for index, node in enumerate(self.nodes):
            if node.name == "MetricsOperation":
                of = [each.text for each in self._within(index) if each.name == "MetricsExpression"]
                found.append((node.text.partition("(")[0], of[0] if of else ""))
        return found

    def _comparisons(self, place: int) -> Iterator[Comparison]:
        for index in range(place, place + 1 + len(self._within(place))):
            node = self.nodes[index]
            parts = [each for each in self._within(index) if each.depth == node.depth + 1]
            if node.name == "FieldExpression" and len(parts) == 3 and parts[1].name == "FieldOp":
                yield Comparison(*(part.text for part in parts))

    def _within(self, index: int) -> list[Node]:
        after = self.nodes[index + 1 :]
        ends = (place for place, each in enumerate(after) if each.depth <= self.nodes[index].depth)
        return after[: next(ends, len(after))]


def parse(queries: list[str]) -> list[Query]:
    command = ["node", str(_installed() / "parse.js")]
    done = subprocess.run(command, input=json.dumps(queries), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [Query([Node(*node) for node in nodes]) for nodes in json.loads(done.stdout)]


def _installed() -> Path:
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        _do_without(f"there is no {' and no '.join(missing)}")
    state = cache.digest(*((SOURCE / name).read_bytes() for name in FILES))
    try:
        return cache.once(f"traceql-{state}", _install)
    except subprocess.CalledProcessError as error:
        _do_without(f"npm could not install Grafana's grammar of TraceQL: {error.stderr.strip()}")


def _install(folder: Path) -> None:
    folder.mkdir()
    for name in FILES:
        shutil.copy(SOURCE / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)


def _do_without(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
