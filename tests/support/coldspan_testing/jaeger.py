"""A real Jaeger: its all-in-one command, built once by Go's ordinary client, started on ports of its own, memory only.

`go install` refuses the command, since Jaeger's go.mod has a replace directive; tests/support/jaeger is a module that
requires it and builds that very package (docs/decisions/0012-a-real-jaeger.md). Building takes minutes, so that tests
only look for it: `make jaeger` builds. Where it is not there, a test is skipped with the reason; where CI is set, it
fails.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from coldspan_lab.tree_cache import cache_folder
from coldspan_testing.cache import CHECKOUT
from coldspan_testing.ports import free_port

VERSION = "1.76.0"
COMMAND = "github.com/jaegertracing/jaeger/cmd/all-in-one"
MODULE = CHECKOUT / "tests" / "support" / "jaeger"
BUILD = ["go", "build", "-mod=readonly", "-trimpath", "-gcflags=all=-N -l", "-ldflags=-s -w"]
"""Not optimised: it is run for seconds, and compiles in 30 % less time."""
READY_TIMEOUT_S = 60.0
POLL_S = 0.02
WARNINGS = "@jaeger@warnings"
"""The attribute under which Jaeger 2 says what is wrong with a span."""

Span = dict[str, Any]


def executable() -> Path:
    """Where `build` puts it: for the user, since it is the same for every checkout."""
    return cache_folder() / f"jaeger-all-in-one-{VERSION}"


def build() -> None:
    """Does nothing where it is there. FileNotFoundError without Go, CalledProcessError where that cannot do it."""
    target = executable()
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    subprocess.run([*BUILD, "-o", unfinished, COMMAND], cwd=MODULE, check=True)
    unfinished.replace(target)


def found() -> Path:
    """The executable; skips the test where there is none."""
    program = executable()
    if program.exists():
        return program
    how = "`make jaeger` builds it" if shutil.which("go") else "`make jaeger` builds it where there is Go"
    reason = f"there is no Jaeger {VERSION} at {program}; {how}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


class Jaeger:
    """Running from `with` to its end."""

    def __enter__(self) -> "Jaeger":
        http, grpc, query, admin, *others = (f"127.0.0.1:{free_port()}" for _ in range(7))
        self.endpoint_http, self.endpoint_grpc = f"http://{http}", f"http://{grpc}"
        self.query, self._admin = f"http://{query}", f"http://{admin}"
        options = {
            "collector.otlp.http.host-port": http,
            "collector.otlp.grpc.host-port": grpc,
            "query.http-server.host-port": query,
            "admin.http.host-port": admin,
            "query.grpc-server.host-port": others[0],
            "collector.grpc-server.host-port": others[1],
            "collector.http-server.host-port": others[2],
        }
        self._process = subprocess.Popen(
            [found(), *(f"--{name}={value}" for name, value in options.items())],
            env={"PATH": os.environ["PATH"], "SPAN_STORAGE_TYPE": "memory"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._log: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy does not reach this machine's own ports
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._session.close()
        self._process.kill()  # asked in kindness, it waits 10 s and more for connections that nobody uses
        self._process.wait()
        self._reader.join()

    def traces(self, service: str, enough: "Callable[[list[Trace]], bool]") -> "list[Trace]":
        """The traces of a service, by their begin, once they are enough: Jaeger stores what it has accepted a moment
        later, span by span. AssertionError, with their spans' names, when they never are."""
        waiting = threading.Event()
        found: list[Trace] = []
        for _ in range(int(READY_TIMEOUT_S / POLL_S)):
            where = {"service": service, "limit": "100"}
            reply = self._session.get(f"{self.query}/api/traces", params=where, timeout=READY_TIMEOUT_S)
            found = sorted(map(Trace, reply.json()["data"] or []), key=lambda trace: trace.start_us)
            if enough(found):
                return found
            waiting.wait(POLL_S)
        raise AssertionError(f"not enough in {READY_TIMEOUT_S} s: {[sorted(trace.edges) for trace in found]}")

    def warnings_of_v2(self, trace: "Trace") -> list[str]:
        """What Jaeger 2 finds wrong, whose query service is in the all-in-one command as well (/api/v3). Other than
        Jaeger 1, it knows the spans of one host by the resource attribute host.id."""
        reply = self._session.get(f"{self.query}/api/v3/traces/{trace.trace_id}", timeout=READY_TIMEOUT_S)
        scopes = [scope for each in reply.json()["result"]["resourceSpans"] for scope in each["scopeSpans"]]
        spans = [span for scope in scopes for span in scope["spans"]]
        assert len(spans) == len(trace.spans)
        found = [
            (span["name"], each) for span in spans for each in span.get("attributes", []) if each["key"] == WARNINGS
        ]
        return [f"{name}: {json.dumps(each['value'])}" for name, each in found]

    def _wait_until_ready(self) -> None:
        waiting = threading.Event()
        for _ in range(int(READY_TIMEOUT_S / POLL_S)):
            try:
                if self._session.get(self._admin, timeout=READY_TIMEOUT_S).ok:
                    return
            except requests.ConnectionError:
                waiting.wait(POLL_S)
            if self._process.poll() is not None:
                break
        raise AssertionError(f"Jaeger is not ready:\n{''.join(self._log)}")

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            self._log.extend(lines)


class Trace:
    """A trace as Jaeger's query API gives it to its user interface."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.trace_id: str = data["traceID"]
        self.spans: list[Span] = data["spans"]
        self._processes: dict[str, Any] = data["processes"]
        self._warnings = data.get("warnings") or []

    @property
    def start_us(self) -> int:
        return min(int(span["startTime"]) for span in self.spans)

    @property
    def warnings(self) -> list[str]:
        """What Jaeger 1 finds wrong: parents that are missing, duplicate ids, clock skew."""
        of_spans = [f"{span['operationName']}: {each}" for span in self.spans for each in span.get("warnings") or []]
        return [*self._warnings, *of_spans]

    @property
    def edges(self) -> set[tuple[str, str]]:
        """Parent and child by name; of a root, or of one whose parent is elsewhere, the parent is empty."""
        names = {span["spanID"]: span["operationName"] for span in self.spans}
        return {(names.get(parent_of(span), ""), span["operationName"]) for span in self.spans}

    def span(self, name: str) -> Span:
        (only,) = [span for span in self.spans if span["operationName"] == name]
        return only

    def process(self, span: Span) -> dict[str, Any]:
        """Tags of the process, and its serviceName."""
        process = self._processes[span["processID"]]
        return {"serviceName": process["serviceName"], **tags(process)}


def parent_of(span: Span) -> str:
    return next((str(each["spanID"]) for each in span["references"] if each["refType"] == "CHILD_OF"), "")


def tags(tagged: Span) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in tagged["tags"]}


if __name__ == "__main__":
    try:
        build()
    except FileNotFoundError:
        sys.exit("make jaeger: Go is not on PATH; it is needed to build Jaeger")
