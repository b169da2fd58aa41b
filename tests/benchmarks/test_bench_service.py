"""The benchmark's own Lambda service: what it measures has really lived, and what was traced has really arrived."""

import os
import sys
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from coldspan_bench import exports, measures, native, runner, situations
from coldspan_bench.configurations import Configuration, coldspan, everything
from coldspan_bench.confinement import confinement
from coldspan_bench.environment import Life, Seen, live
from coldspan_bench.errors import RunFailed, Unavailable
from coldspan_bench.toolchain import Toolchain
from coldspan_report import otlp
from coldspan_testing import interpreters, trees
from coldspan_testing.runs import FUNCTIONS

VERSION = "{}.{}".format(*sys.version_info)
TRIVIAL = situations.FUNCTIONS / "trivial"
INVOCATIONS = 3
"""A first one and warm ones."""


def skip(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"CI is set, and: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Toolchain:
    cache = tmp_path_factory.mktemp("bench")
    try:
        service = native.service(cache)
    except Unavailable as reason:
        skip(str(reason))
    return Toolchain(cache, interpreters.runtime(VERSION), VERSION, service, trees.layer_tree(VERSION))


def configuration(name: str) -> Configuration:
    return next(each for each in everything() if each.name == name)


def names_of(seen: Seen) -> Counter[str]:
    requests = (otlp.from_protobuf(export.body) for export in seen.exports)
    return Counter(span.name for request in requests for span in otlp.spans(request))


def test_traces_of_a_whole_life_arrive_whole(tools: Toolchain) -> None:
    seen = live(tools, coldspan("sdk", "end"), Life(TRIVIAL, INVOCATIONS), None)
    names = names_of(seen)
    assert {name: names[name] for name in ("bench", "handler", "response", "after response")} == dict.fromkeys(
        ("bench", "handler", "response", "after response"), INVOCATIONS
    )
    assert {name: names[name] for name in ("init", "extension init", "runtime boot", "load handler")} == dict.fromkeys(
        ("init", "extension init", "runtime boot", "load handler"), 1
    )
    runner.check_ours(seen, INVOCATIONS)


def test_deferred_traces_arrive_by_the_end_of_the_shutdown(tools: Toolchain) -> None:
    seen = live(tools, coldspan("sdk", "deferred"), Life(TRIVIAL, INVOCATIONS), None)
    figures = measures.of_run(seen)
    assert exports.servers(seen.exports) == INVOCATIONS
    assert figures["exports at shutdown"] >= 1
    assert 0 < figures["event to trace"] <= figures["shutdown to trace"] < 2_000


def test_the_order_of_things_is_lambdas(tools: Toolchain) -> None:
    seen = live(tools, configuration("static C extension"), Life(TRIVIAL, INVOCATIONS), None)
    last = INVOCATIONS - 1
    moments = ["begin", "registered", "runtime-started", "runtime-next", "init", "sent", "response", "free", "shutdown"]
    assert moments == sorted(moments, key=seen.one)
    assert seen.one("free") < seen.one("sent", 1) < seen.one("response", 1) <= seen.one("free", 1)
    assert seen.one("free", last) < seen.one("runtime-ended") < seen.one("shutdown-told") < seen.one("extension-ended")
    assert len(seen.marks["extension-next", 0]) == INVOCATIONS + 1


def test_a_bare_runtime_has_every_figure_but_an_extensions(tools: Toolchain) -> None:
    figures = measures.of_run(live(tools, configuration("bare"), Life(TRIVIAL, INVOCATIONS), None))
    assert figures["cold"] == pytest.approx(figures["init"] + figures["first response"])
    assert all(figures[name] > 0 for name in ("warm response", "free after warm", "cpu runtime"))
    assert figures["cpu extension"] == 0
    assert "registered" not in figures


def test_memory_is_read_after_init_and_at_the_end(tools: Toolchain) -> None:
    life = Life(TRIVIAL, INVOCATIONS, with_maps=True)
    figures = measures.of_run(live(tools, coldspan("sdk", "end"), life, None))
    assert 1 < figures["extension memory before"] < figures["extension memory after"] < figures["extension alone after"]


def test_a_quota_is_switched_between_init_and_the_first_invocation(tools: Toolchain) -> None:
    """At 0.05 vCPU a handler that computes is throttled; the init before it, at one vCPU, is not."""
    function = FUNCTIONS / "computes"
    life = Life(function, 1, 128, init_cpus=None, invoke_cpus=0.05)
    try:
        with confinement() as confined:
            figures = measures.of_run(live(tools, configuration("bare"), life, confined))
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert figures["throttled by response"] > 1
    assert figures["cpu whole"] >= figures["cpu both"]


def test_environments_that_are_frozen_between_invocations_lose_nothing(tools: Toolchain) -> None:
    life = Life(TRIVIAL, INVOCATIONS, frozen=True)
    try:
        with confinement() as confined:
            frozen, running = (
                live(tools, coldspan("sdk", "deferred"), each, confined) for each in (life, replace(life, frozen=False))
            )
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert exports.servers(frozen.exports) == exports.servers(running.exports) == INVOCATIONS


def test_a_function_that_fails_ends_the_run_with_its_error(tools: Toolchain) -> None:
    with pytest.raises(RunFailed, match="No module named"):
        live(tools, configuration("bare"), Life(Path(__file__).parent, 1), None)


def test_nothing_is_left_running(tools: Toolchain) -> None:
    mark = uuid.uuid4().hex
    seen = live(tools, coldspan("sdk", "end"), Life(TRIVIAL, 1, variables={"LEFT_BY": mark}), None)
    assert seen.marks["runtime-ended", 0]
    left = [path for path in Path("/proc").glob("[0-9]*/environ") if f"LEFT_BY={mark}".encode() in _read(path)]
    assert left == []


def test_exports_to_https_tell_their_handshake(tools: Toolchain) -> None:
    (scene,) = [each for each in situations.everything() if each.name == "https-own"]
    records = runner.run(tools, scene, [coldspan("sdk", "end")], 1, None, print)
    record = records["coldspan sdk end"]
    if record.skipped is not None:
        skip(record.skipped)
    (figures,) = record.rounds
    assert 0 < figures["handshake"] < figures["free after first"]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
