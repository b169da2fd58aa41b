"""Lives through one execution environment under the C service, and gives what was seen of it."""

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from coldspan_bench.configurations import Configuration
from coldspan_bench.confinement import Confinement
from coldspan_bench.errors import RunFailed
from coldspan_bench.toolchain import BOOTSTRAP, Toolchain
from coldspan_lab import sandbox
from coldspan_lab.interpreter import Interpreter
from coldspan_lab.model import Function, RuntimeClient

LOOPBACK = "127.0.0.1"
TIMEOUT_S = 120.0
LOG_SHOWN = 2000


@dataclass(frozen=True, slots=True)
class Life:
    """What an environment is to live through. CPU shares: None is no limit."""

    function: Path
    invocations: int
    memory_mb: int = 1769
    init_cpus: float | None = None
    invoke_cpus: float | None = None
    variables: dict[str, str] = field(default_factory=dict)
    """Beside the configuration's, which they replace."""
    frozen: bool = False
    """Between invocations, as on Lambda."""
    with_maps: bool = False
    """Read the processes' memory maps after init, after the first invocation and after the last."""


@dataclass(frozen=True, slots=True)
class Export:
    """A request to the collector, or a datagram, for which `path` is "UDP"."""

    path: str
    content_type: str
    encoding: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """`marks` by name and number, ns of the monotonic clock (native/service.c); several of a name are in order."""

    marks: dict[tuple[str, int], list[int]]
    exports: list[Export]
    maps: dict[str, str]
    """/proc/PID/smaps by "runtime.0" or "extension.0", .0 after init, .1 after the first invocation, .2 at the end."""
    usage_unit_ns: int
    log: str
    """What the processes wrote to stdout and stderr."""

    def one(self, name: str, number: int = 0) -> int:
        return self.marks[name, number][0]


def live(tools: Toolchain, configuration: Configuration, life: Life, confinement: Confinement | None) -> Seen:
    """Raises RunFailed, Unavailable."""
    layer = configuration.layer(tools)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coldspan-bench-")))
        sockets = {
            "api": stack.enter_context(_listening()),
            "collector": stack.enter_context(_listening()),
            "datagrams": stack.enter_context(_bound(socket.SOCK_DGRAM)),
        }
        addresses = {name: "{}:{}".format(*found.getsockname()) for name, found in sockets.items()}
        surroundings = _sandbox(tools, configuration, life, layer, folder, addresses)
        spec = folder / "specification"
        descriptors = [(name, str(found.fileno())) for name, found in sockets.items()]
        lines = [*descriptors, *_specification(tools, life, surroundings, confinement, folder)]
        spec.write_text("".join(f"{key} {value}\n" for key, value in lines))
        marks = _run(tools.service, spec, [found.fileno() for found in sockets.values()], folder / "log")
        maps = {path.name: path.read_text() for path in folder.iterdir() if path.stem in ("runtime", "extension")}
        exports = list(_exports((folder / "bodies").read_bytes()))
        log = (folder / "log").read_text(errors="replace")
    return Seen(marks, exports, maps, confinement.usage_unit_ns if confinement else 1, log)


def _sandbox(
    tools: Toolchain,
    configuration: Configuration,
    life: Life,
    layer: Path | None,
    folder: Path,
    addresses: dict[str, str],
) -> sandbox.Sandbox:
    places = {**addresses, "layer": str(layer)}
    variables = {name: value.format(**places) for name, value in configuration.environment.items()}
    if layer is not None and (layer / "python").is_dir():
        variables["BENCH_LAYER_PYTHON"] = str(layer / "python")
    function = Function(
        life.function,
        handler=configuration.handler,
        name="bench",
        memory_mb=life.memory_mb,
        environment={**variables, **{name: value.format(**places) for name, value in life.variables.items()}},
    )
    with _bound(socket.SOCK_STREAM) as probe:
        listen = "{}:{}".format(*probe.getsockname())
    return sandbox.Sandbox(
        function,
        Interpreter(tools.python, tools.version, frozenset((RuntimeClient.AWSLAMBDARIC,))),
        layer,
        addresses["api"],
        metadata_token="",
        log_stream="bench",
        channel=folder / "channel",
        listen=listen,
    )


def _specification(
    tools: Toolchain, life: Life, surroundings: sandbox.Sandbox, confinement: Confinement | None, folder: Path
) -> Iterator[tuple[str, str]]:
    """The lines that native/sandbox.h explains."""
    extension = sandbox.extension_environment(surroundings)
    runtime = sandbox.runtime_environment(surroundings)
    wrapper = runtime.get("AWS_LAMBDA_EXEC_WRAPPER")
    yield from (("extension", str(program)) for program in sandbox.extension_programs(surroundings.layer))
    yield from (("runtime", word) for word in [*([wrapper] if wrapper else []), str(tools.python), str(BOOTSTRAP)])
    yield from (("extension-variable", f"{name}={value}") for name, value in extension.items())
    yield from (("runtime-variable", f"{name}={value}") for name, value in runtime.items())
    yield "directory", str(life.function)
    yield "output", str(folder)
    yield "invocations", str(life.invocations)
    yield "memory-mb", str(life.memory_mb)
    yield "maps", str(int(life.with_maps))
    if confinement is not None:
        yield from (("cgroup", str(file)) for file in confinement.processes)
        yield "quota", str(confinement.quota)
        yield "init-quota", confinement.quota_text(life.init_cpus)
        yield "invoke-quota", confinement.quota_text(life.invoke_cpus)
        yield "usage", str(confinement.usage)
        yield "usage-key", confinement.usage_key
        yield "throttled", str(confinement.throttled)
        if life.frozen:
            freezer = confinement.freezer
            yield from (("freezer", str(freezer.file)), ("freeze", freezer.freeze), ("thaw", freezer.thaw))
            yield from (("frozen", str(freezer.frozen)), ("frozen-text", freezer.frozen_text))
            yield "outside", str(freezer.outside)


def _run(service: Path, spec: Path, descriptors: list[int], log: Path) -> dict[tuple[str, int], list[int]]:
    try:
        done = subprocess.run([service, spec], pass_fds=descriptors, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise RunFailed(f"nothing happened for {TIMEOUT_S:.0f} s; {_end_of(log)}") from error
    if done.returncode:
        raise RunFailed(f"{done.stderr.strip()}; {_end_of(log)}")
    marks: dict[tuple[str, int], list[int]] = {}
    for line in done.stdout.splitlines():
        name, number, value = line.split()
        marks.setdefault((name, int(number)), []).append(int(value))
    return marks


def _end_of(log: Path) -> str:
    text = log.read_text(errors="replace") if log.exists() else ""
    return f"its log ends: {text[-LOG_SHOWN:]!r}"


def _exports(data: bytes) -> Iterator[Export]:
    while data:
        path, content_type, encoding, size, rest = data.split(b"\n", 4)
        body, data = rest[: int(size)], rest[int(size) :]
        yield Export(path.decode(), content_type.decode(), encoding.decode(), body)


def _listening() -> socket.socket:
    found = _bound(socket.SOCK_STREAM)
    found.listen(64)
    return found


def _bound(kind: socket.SocketKind) -> socket.socket:
    found = socket.socket(socket.AF_INET, kind)
    found.bind((LOOPBACK, 0))
    return found
