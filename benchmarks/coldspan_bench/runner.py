"""Runs the configurations of a situation in turn, round after round, and keeps what each round showed of each.

A machine's mood changes over minutes; so every round has each configuration once, in an order that turns and is
reversed, and only figures of the same round are compared.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from coldspan_bench import exports, measures, tls
from coldspan_bench.configurations import Configuration
from coldspan_bench.confinement import Confinement
from coldspan_bench.environment import Seen, live
from coldspan_bench.errors import RunFailed, Unavailable
from coldspan_bench.situations import Situation
from coldspan_bench.toolchain import Toolchain


@dataclass(slots=True)
class Record:
    """One configuration in one situation. `rounds` has the figures of each round, by name."""

    rounds: list[dict[str, float]] = field(default_factory=list)
    skipped: str | None = None
    """Why there are none, or no more."""
    failed: bool = False
    """It was skipped since it broke, not since something is not there."""


def run(
    tools: Toolchain,
    situation: Situation,
    configurations: list[Configuration],
    rounds: int,
    confinement: Confinement | None,
    say: Callable[[str], None],
) -> dict[str, Record]:
    """By the configuration's name. A first round warms the file cache, writes bytecode, and is not kept."""
    records = {each.name: Record() for each in configurations}
    if situation.needs_cgroup and confinement is None:
        return {name: Record(skipped="cgroups are not permitted here") for name in records}
    for number in range(-1, rounds):
        say(f"{situation.name}: round {number + 1} of {rounds}" if number >= 0 else f"{situation.name}: warming up")
        for configuration in turned(configurations, max(number, 0)):
            record = records[configuration.name]
            if record.skipped is not None:
                continue
            try:
                figures = _measure(tools, situation, configuration, confinement)
            except (RunFailed, Unavailable) as failure:
                record.skipped, record.failed = str(failure), isinstance(failure, RunFailed)
                say(f"{situation.name}: {configuration.name}: {failure}")
            else:
                if number >= 0:
                    record.rounds.append(figures)
    return records


def turned(configurations: list[Configuration], number: int) -> list[Configuration]:
    """The order of a round. Every other one is the one before it backwards: no configuration always follows the same
    one, and each comes to every place."""
    start = number // 2 % len(configurations)
    order = configurations[start:] + configurations[:start]
    return order[::-1] if number % 2 else order


def _measure(
    tools: Toolchain, situation: Situation, configuration: Configuration, confinement: Confinement | None
) -> dict[str, float]:
    life = situation.life(tools)
    with _endpoint(tools, situation, configuration) as (configuration, variables, collector):
        life = replace(life, variables={**life.variables, **variables})
        seen = live(tools, configuration, life, confinement)
        if collector is not None:
            seen = replace(seen, marks={**seen.marks, **collector.marks}, exports=collector.exports)
    if configuration.is_ours:
        check_ours(seen, life.invocations)
    return {**measures.of_run(seen), **exports.figures(seen.exports)}


def check_ours(seen: Seen, invocations: int) -> None:
    """A figure counts only if each invocation's trace arrived, made as it was asked for.

    Raises RunFailed, Unavailable."""
    for line in seen.log.splitlines():
        if '"config_invalid"' in line:
            said = json.loads(line)
            raise Unavailable(f"{said['variable']}={said['value']}: this layer takes {said['accepted']}")
    arrived = exports.servers(seen.exports)
    if arrived != invocations:
        raise RunFailed(f"{arrived} traces arrived, expected {invocations}; its log: {seen.log[-2000:]!r}")


@contextmanager
def _endpoint(
    tools: Toolchain, situation: Situation, configuration: Configuration
) -> Iterator[tuple[Configuration, dict[str, str], tls.TlsCollector | None]]:
    """The configuration, as far as the situation's endpoint changes its layer and variables."""
    if situation.trust is None or not configuration.is_ours:
        yield configuration, {}, None
        return
    keys = tls.keys(tools.cache)
    with tls.tls_collector(keys) as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
        if situation.trust == "own":
            variables["OTEL_EXPORTER_OTLP_CERTIFICATE"] = str(keys / "ca.pem")
        else:
            configuration = replace(configuration, layer=_trusting(configuration, keys / "ca.pem"))
        yield configuration, variables, collector


def _trusting(configuration: Configuration, authority: Path) -> Callable[[Toolchain], Path]:
    def layer(tools: Toolchain) -> Path:
        original = configuration.layer(tools)
        assert original is not None
        return tls.trusting_layer(tools.cache, original, authority)

    return layer
