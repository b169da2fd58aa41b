"""What `coldspan report` takes over a large file: its time and its peak memory. Prints a line for each size.

    .venv/bin/python -I benchmarks/report.py 1000000 10000000

The file is written first, with some 520 bytes a span, much as the layer's own exports: three versions of four
functions, one cold start in eight invocations, with 24 imports. The report runs in a process of its own. What else the
machine does shows in the wall time, hardly in the CPU time.
"""

import hashlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

T0_NS = 1_795_508_392_000_000_000
MS = 1_000_000
MODULES = [f"package{n // 6}.module{n}" for n in range(24)]
COLD, WARM = 12 + len(MODULES), 5
"""Spans of such an invocation."""


def text(key: str, value: object) -> str:
    return f'{{"key":"{key}","value":{{"stringValue":"{value}"}}}}'


def number(key: str, value: float) -> str:
    return f'{{"key":"{key}","value":{{"doubleValue":{value:.9f}}}}}'


def integer(key: str, value: int) -> str:
    return f'{{"key":"{key}","value":{{"intValue":"{value}"}}}}'


def flag(key: str, *, value: bool) -> str:
    return f'{{"key":"{key}","value":{{"boolValue":{str(value).lower()}}}}}'


class Invocation:
    """The lines of one, as spans are added to it."""

    def __init__(self, number: int, start_ns: int) -> None:
        self.trace_id = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
        self.start_ns = start_ns
        self.spans: list[str] = []

    def add(
        self, name: str, parent: str, begin_ms: float, took_ms: float, *attributes: str, kind: int = 1, status: str = ""
    ) -> str:
        span_id = f"{len(self.spans):02x}{self.trace_id[:14]}"
        begin_ns = self.start_ns + int(begin_ms * MS)
        self.spans.append(
            f'{{"traceId":"{self.trace_id}","spanId":"{span_id}",'
            + (f'"parentSpanId":"{parent}",' if parent else "")
            + f'"name":"{name}","kind":{kind},"startTimeUnixNano":"{begin_ns}",'
            f'"endTimeUnixNano":"{begin_ns + int(took_ms * MS)}","attributes":[{",".join(attributes)}]'
            f"{status}}}"
        )
        return span_id


def invocation(number_: int, version: int, random: Random) -> Invocation:
    """One in eight is cold; its third version's `package3.module20` takes 200 ms more."""
    cold = number_ % 8 == 0
    one = Invocation(number_, T0_NS + number_ * 50 * MS)
    took = [random.lognormvariate(1.5, 0.5) + 5 + (200 if version == 3 and m == 20 else 0) for m in range(24)]
    init_ms = sum(took) + 70 if cold else 0.0
    handler_ms = random.lognormvariate(2, 0.6)
    failed = random.random() < 0.01
    root = one.add(
        "orders",
        "",
        0,
        init_ms + handler_ms + 2,
        text("faas.trigger", "http"),
        text("faas.invocation_id", f"485c1b7a-92a7-4427-95cd-{number_:012d}"),
        flag("faas.coldstart", value=cold),
        text("coldspan.init.type", "on-demand"),
        integer("coldspan.invocation.sequence", number_ % 8 + 1),
        *([text("error.type", "ValueError")] if failed else []),
        kind=2,
        status=',"status":{"code":2}' if failed else "",
    )
    if cold:
        init(one, root, init_ms, took)
    one.add("next", root, init_ms, 0.3, text("coldspan.phase", "next"))
    one.add("handler", root, init_ms + 0.5, handler_ms, text("coldspan.phase", "handler"))
    one.add("response", root, init_ms + handler_ms + 0.6, 1, text("coldspan.phase", "response"))
    billed = number("coldspan.billed_duration", (init_ms + handler_ms + 5) / 1000)
    one.add("after response", root, init_ms + handler_ms + 2, 3, billed, integer("coldspan.memory.max_used", 90 << 20))
    return one


def init(one: Invocation, root: str, init_ms: float, took: list[float]) -> None:
    top = one.add(
        "init",
        root,
        0,
        init_ms,
        text("coldspan.phase", "init"),
        text("coldspan.init.type", "on-demand"),
        text("coldspan.init.phase", "init"),
        number("coldspan.init.duration", init_ms / 1000),
    )
    one.add("extension init", top, 3, 15)
    one.add("runtime boot", top, 20, 40)
    load = one.add("load handler", top, 62, sum(took) + 7, integer("coldspan.import.count", 240))
    parent = one.add("import app", load, 63, sum(took) + 5, text("coldspan.import.module", "app"))
    begin = 64.0
    for module, took_ms in zip(MODULES, took, strict=True):
        one.add(
            f"import {module}",
            parent,
            begin,
            took_ms,
            text("coldspan.import.module", module),
            text("coldspan.import.source", "layer"),
            number("coldspan.import.find.duration", 0.0001),
            text("code.file.path", "/var/task/app.py"),
            integer("code.line.number", 7),
            number("coldspan.self_time", took_ms / 1000),
        )
        begin += took_ms
    one.add("other imports", parent, begin, 3, integer("coldspan.import.count", 200))


def exports(spans: int) -> Iterator[str]:
    """Lines of OTLP/JSON, of one invocation each, until there are that many spans."""
    random = Random(7)
    written = 0
    for number_ in itertools.count():
        if written >= spans:
            return
        version = 1 + min(written * 3 // spans, 2)
        one = invocation(number_, version, random)
        written += len(one.spans)
        instance = f"2026/11/24/[{version}]{number_ // 8:032x}"
        attributes = [
            text("service.name", f"service{number_ // 8 % 4}"),
            text("faas.name", f"service{number_ // 8 % 4}"),
            text("faas.version", version),
            text("faas.instance", instance),
            text("host.id", instance),
            text("cloud.region", "us-east-1"),
            integer("faas.max_memory", 512 << 20),
        ]
        yield (
            f'{{"resourceSpans":[{{"resource":{{"attributes":[{",".join(attributes)}]}},"scopeSpans":[{{"scope":'
            f'{{"name":"coldspan","version":"0.1.0"}},"spans":[{",".join(one.spans)}]}}],'
            '"schemaUrl":"https://opentelemetry.io/schemas/1.44.0"}]}\n'
        )


def measure(path: Path) -> tuple[float, float, float]:
    """Seconds, those of CPU time, and the most memory in MB."""
    began = time.monotonic()
    command = [str(Path(sys.executable).with_name("coldspan")), "report", "--json", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"coldspan report ended with status {status}")
    return time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    for spans in map(int, sys.argv[1:] or ["1000000"]):
        with tempfile.TemporaryDirectory(prefix="coldspan-report-") as folder:
            path = Path(folder, "spans.jsonl")
            with path.open("w") as file:
                file.writelines(exports(spans))
            seconds, cpu_s, megabytes = measure(path)
            size = path.stat().st_size / 1e6
            took = f"{seconds:.1f} s, {cpu_s:.1f} s of CPU time, at most {megabytes:.0f} MB of memory"
            print(f"{spans} spans, {size:.0f} MB: {took}")


if __name__ == "__main__":
    main()
