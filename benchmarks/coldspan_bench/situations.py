"""In which situations the configurations are compared: a function, a CPU share, what is looked at."""

import compileall
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from coldspan_bench.configurations import BARE, Configuration
from coldspan_bench.environment import Life
from coldspan_bench.toolchain import Toolchain
from coldspan_lab import tree_cache

FUNCTIONS = Path(__file__).parents[1] / "functions"
MB_PER_CPU = 1769
SMALL, SMALLEST = 512, 128
"""MB, of which the second is the least that Lambda has."""

COLD = ("cold", "init", "first response", "free after first")
WARM = ("warm response", "free after warm")
CPU = ("cpu both", "cpu init", "cpu whole")
PARTS = ("response to connection", "connection to request", "answer to free")


@dataclass(frozen=True, slots=True)
class Situation:
    name: str
    title: str
    figures: tuple[str, ...]
    """What its table shows, of what measures.py knows."""
    function: Callable[[Toolchain], Path]
    invocations: int = 1
    memory_mb: int = MB_PER_CPU
    init_cpus: float | None = None
    invoke_cpus: float | None = None
    variables: dict[str, str] = field(default_factory=dict)
    takes: Callable[[Configuration], bool] = lambda configuration: True
    frozen: bool = False
    with_maps: bool = False
    trust: str | None = None
    """Traces go to an https endpoint (tls.py): "own" or "shipped" says where its authority's certificate is."""

    @property
    def needs_cgroup(self) -> bool:
        return self.frozen or self.init_cpus is not None or self.invoke_cpus is not None

    def life(self, tools: Toolchain) -> Life:
        return Life(
            self.function(tools),
            self.invocations,
            self.memory_mb,
            self.init_cpus,
            self.invoke_cpus,
            self.variables,
            self.frozen,
            self.with_maps,
        )


def share(memory_mb: int) -> float:
    """The CPUs that Lambda gives to so much memory."""
    return memory_mb / MB_PER_CPU


def shipped(name: str) -> Callable[[Toolchain], Path]:
    return lambda tools: FUNCTIONS / name


def importing(count: int) -> Callable[[Toolchain], Path]:
    """A function that imports so many generated modules, one after the other."""

    def build(folder: Path) -> None:
        folder.mkdir()
        for number in range(count):
            (folder / f"generated_{number}.py").write_text(f"value = {number}\n")
        lines = [f"import generated_{number}\n" for number in range(count)]
        (folder / "app.py").write_text("".join([*lines, "\n\ndef handler(event, context):\n    return event\n"]))

    def make(tools: Toolchain) -> Path:
        folder = tree_cache.once(tools.cache / f"importing-{count}-{tools.version}", build)
        compileall.compile_dir(folder, quiet=1)
        return folder

    return make


def ours(configuration: Configuration) -> bool:
    return configuration.is_ours or configuration.is_reference


def ours_at_the_end(configuration: Configuration) -> bool:
    """Of ours those that export before the environment is frozen: an https endpoint is billed to nobody else."""
    return configuration.name == BARE or (configuration.is_ours and "deferred" not in configuration.name)


def everything() -> list[Situation]:
    imports = shipped("boto3_pydantic")
    return [
        Situation("trivial", "a trivial function, 2 vCPU", (*COLD, *WARM, *CPU), shipped("trivial"), 21),
        Situation(
            "frozen",
            "the same, frozen between invocations; telemetry comes after the thaw",
            (*WARM, *CPU),
            shipped("trivial"),
            21,
            frozen=True,
        ),
        Situation(
            "imports",
            "a function that imports boto3 and pydantic, 1 vCPU",
            (*COLD, *WARM, *CPU),
            imports,
            11,
            init_cpus=1.0,
            invoke_cpus=1.0,
        ),
        *(
            Situation(
                f"imports-{memory_mb}",
                f"the same, 1 vCPU in init, then {share(memory_mb):.2g} ({memory_mb} MB)",
                (*COLD, *WARM, "throttled by response", "throttled until free", *CPU),
                imports,
                11,
                memory_mb,
                1.0,
                share(memory_mb),
            )
            for memory_mb in (SMALL, SMALLEST)
        ),
        Situation(
            "shutdown",
            f"SHUTDOWN at {share(SMALLEST):.2g} vCPU, after two invocations",
            ("event to trace", "shutdown to trace", "exports at shutdown"),
            shipped("trivial"),
            2,
            SMALLEST,
            1.0,
            share(SMALLEST),
            takes=ours,
        ),
        *(_https(trust, memory_mb) for trust in ("own", "shipped") for memory_mb in (MB_PER_CPU, SMALLEST)),
        Situation(
            "memory",
            "memory of the processes, trivial function, 11 invocations",
            ("extension memory before", "extension memory after", "extension alone after", "runtime memory after"),
            shipped("trivial"),
            11,
            takes=ours,
            with_maps=True,
        ),
        *(
            Situation(
                f"spans-{count}",
                f"{count:,} generated modules imported, COLDSPAN_IMPORTS=all, 2 vCPU",
                ("cold", "free after first", "cpu both", "spans", "bytes exported", "extension memory after"),
                importing(count),
                variables={"COLDSPAN_IMPORTS": "all"},
                takes=ours_at_the_end,
                with_maps=True,
            )
            for count in (1, 100, 10_000)
        ),
    ]


def _https(trust: str, memory_mb: int) -> Situation:
    limited = memory_mb < MB_PER_CPU
    store = {"own": "a PEM file of one's own", "shipped": "the layer's trust store"}[trust]
    return Situation(
        f"https-{trust}" + (f"-{memory_mb}" if limited else ""),
        f"an https endpoint, verified with {store}, {f'{share(memory_mb):.2g}' if limited else '2'} vCPU",
        ("free after first", *PARTS, "handshake", "free after warm"),
        shipped("trivial"),
        4,
        memory_mb,
        1.0 if limited else None,
        share(memory_mb) if limited else None,
        takes=ours_at_the_end,
        trust=trust,
    )
