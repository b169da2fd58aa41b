"""What is compared: a name, what the environment finds in /opt, and the variables that the function's owner sets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from coldspan_bench import native, peers
from coldspan_bench.toolchain import Toolchain
from coldspan_lab import tree_cache

BARE = "bare"
FLOOR = "static C extension"
LANES = ("sdk", "lean")
FLUSHES = ("end", "deferred", "adaptive")


@dataclass(frozen=True, slots=True)
class Configuration:
    name: str
    layer: Callable[[Toolchain], Path | None]
    """What lies in /opt, made where it is not there yet. Raises Unavailable."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """{collector} and {datagrams} stand for host:port, {layer} for the layer's folder."""
    handler: str = "app.handler"
    is_ours: bool = False

    @property
    def is_reference(self) -> bool:
        """Whether the others are compared with it."""
        return self.name in (BARE, FLOOR)


def no_layer(tools: Toolchain) -> Path | None:
    return None


def coldspan_layer(tools: Toolchain) -> Path:
    return tools.coldspan_layer or tree_cache.layer_tree(tools.cache.parent, tools.version)


def floor_layer(tools: Toolchain) -> Path:
    program = native.static_extension(tools.cache)

    def build(tree: Path) -> None:
        (tree / "extensions").mkdir(parents=True)
        (tree / "extensions" / "floor").symlink_to(program)

    return tree_cache.once(program.parent / "layer", build)


def coldspan(lane: str = "", flush: str = "") -> Configuration:
    """Without arguments as it is without settings, but for the endpoint."""
    variables = {"COLDSPAN_EXPORTER": lane, "COLDSPAN_FLUSH": flush} if lane else {}
    variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://{collector}"
    return Configuration(" ".join(filter(None, ["coldspan", lane, flush])), coldspan_layer, variables, is_ours=True)


def wrapper_layer(tools: Toolchain) -> Path:
    """coldspan's without its extension: what the wrapper tells is told to nobody."""
    whole = coldspan_layer(tools)
    key = tree_cache.digest([(str(whole), b"")])

    def build(tree: Path) -> None:
        tree.mkdir()
        for part in ("coldspan", "coldspan-exec"):
            (tree / part).symlink_to(whole / part)

    return tree_cache.once(tools.cache / f"wrapper-{key}", build)


def parts() -> list[Configuration]:
    """Of coldspan, to see where its cost is. Not all of them trace."""
    whole = coldspan().environment
    return [
        Configuration("part: wrapper alone", wrapper_layer, whole),
        Configuration("part: extension alone", coldspan_layer, {**whole, "AWS_LAMBDA_EXEC_WRAPPER": ""}),
        Configuration("part: no imports", coldspan_layer, {**whole, "COLDSPAN_IMPORTS": "off"}, is_ours=True),
    ]


def everything() -> list[Configuration]:
    """In the order of the table: references, ours, its parts, peers."""
    return [
        Configuration(BARE, no_layer),
        Configuration(FLOOR, floor_layer),
        coldspan(),
        *(coldspan(lane, flush) for lane in LANES for flush in FLUSHES),
        *parts(),
        *(
            Configuration(peer.name, peers.layer_of(peer), peer.environment, handler=peer.handler)
            for peer in peers.PEERS
        ),
    ]
