"""Telemetry as it arrives at a listener: batches, order, retries, losses."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from coldspan_lab.faults import Route
from coldspan_lab.http import Request, Response, Server
from coldspan_lab.subscription import Subscription
from coldspan_lab.telemetry import SLOW_CONSUMER, Telemetry

if TYPE_CHECKING:
    from tests.lab.conftest import StartLab


class Listener:
    """A telemetry listener that answers as the test wants, and keeps the batches."""

    def __init__(self, answer: Callable[[], Awaitable[int]] | None = None) -> None:
        self.batches: list[list[dict[str, Any]]] = []
        self.arrived = asyncio.Condition()
        self._answer = answer
        self.server = Server(self._take)

    async def _take(self, request: Request) -> Response:
        batch = json.loads(await request.body(10_000_000))
        status = 200 if self._answer is None else await self._answer()
        if status < 400:
            async with self.arrived:
                self.batches.append(batch)
                self.arrived.notify_all()
        return Response(status)

    async def until(self, events: int) -> list[dict[str, Any]]:
        """Waits for that many events, and gives them in order of arrival."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: sum(map(len, self.batches)) >= events)
        return [event for batch in self.batches for event in batch]

    def subscription(self, **changes: Any) -> Subscription:
        port = int(self.server.address.rpartition(":")[2])
        wanted = {"schema_version": "2025-01-29", "types": ["platform", "function"], "port": port, "path": "/"}
        return Subscription(**{**wanted, "max_items": 1000, "max_bytes": 262_144, "timeout_ms": 25, **changes})


def run(
    scenario: Callable[[Telemetry, Listener], Awaitable[None]],
    *,
    route: Route = Route(),  # noqa: B008
    json_logs: bool = False,
    **listens: Any,
) -> None:
    async def whole() -> None:
        telemetry, listener = Telemetry(lambda event: None, route, json_logs=json_logs), Listener(**listens)
        await listener.server.start()
        telemetry.gate.open()
        await asyncio.wait_for(scenario(telemetry, listener), 60)
        telemetry.close()
        await listener.server.close()

    asyncio.run(whole())


def test_a_new_subscriber_gets_what_was_generated_before_and_of_its_types_only() -> None:
    async def scenario(telemetry: Telemetry, listener: Listener) -> None:
        telemetry.emit("platform.initStart", {})
        telemetry.emit("extension", "not asked for")
        telemetry.emit("function", "a line")
        telemetry.subscribe("probe", listener.subscription())
        events = await listener.until(3)
        assert [event["type"] for event in events] == [
            "platform.initStart",
            "function",
            "platform.telemetrySubscription",
        ]
        assert events[2]["record"] == {"name": "probe", "state": "Subscribed", "types": ["platform", "function"]}

    run(scenario)


def test_a_full_batch_goes_at_once_and_the_rest_when_its_time_is_over() -> None:
    async def scenario(telemetry: Telemetry, listener: Listener) -> None:
        telemetry.forget_history()
        telemetry.subscribe("probe", listener.subscription(timeout_ms=100))
        for number in range(999):
            telemetry.emit("function", str(number))
        await listener.until(1000)
        telemetry.emit("function", "late")
        events = await listener.until(1001)
        assert [len(batch) for batch in listener.batches] == [1000, 1]
        assert [event["record"] for event in events[1:]] == [*map(str, range(999)), "late"]

    run(scenario)


def test_a_route_decides_what_is_sent_for_a_batch() -> None:
    route = Route(batches=lambda batch: [batch[::-1]]).then(Route(batches=lambda batch: [batch, batch]))

    async def scenario(telemetry: Telemetry, listener: Listener) -> None:
        telemetry.forget_history()
        telemetry.subscribe("probe", listener.subscription(types=["function"]))
        telemetry.emit("function", "1")
        telemetry.emit("function", "2")
        assert [event["record"] for event in await listener.until(4)] == ["2", "1", "2", "1"]
        assert len(listener.batches) == 2

    run(scenario, route=route)


def test_a_delayed_route_delivers_later_but_everything() -> None:
    async def scenario(telemetry: Telemetry, listener: Listener) -> None:
        telemetry.forget_history()
        telemetry.subscribe("probe", listener.subscription(types=["function"]))
        emitted = asyncio.get_running_loop().time()
        telemetry.emit("function", "1")
        (event,) = await listener.until(1)
        assert event["record"] == "1"
        assert asyncio.get_running_loop().time() - emitted >= 0.225

    run(scenario, route=Route(delay_s=0.2))


def test_a_refused_batch_is_sent_again_before_anything_else() -> None:
    statuses = [500, 429, 200, 200]

    async def answer() -> int:
        return statuses.pop(0)

    async def scenario(telemetry: Telemetry, listener: Listener) -> None:
        telemetry.forget_history()
        telemetry.subscribe("probe", listener.subscription(types=["function"]))
        telemetry.emit("function", "first")
        telemetry.flush()
        while len(statuses) == 4:
            await asyncio.sleep(0)
        telemetry.emit("function", "second")
        events = await listener.until(2)
        assert [event["record"] for event in events] == ["first", "second"]

    run(scenario, answer=answer)


def test_a_consumer_that_is_too_slow_loses_a_full_batch_and_is_told() -> None:
    async def scenario(telemetry: Telemetry, listener: Listener) -> None:
        telemetry.forget_history()
        telemetry.subscribe("probe", listener.subscription(types=["function"]))
        telemetry.emit("function", "in delivery")
        telemetry.flush()
        await entered.wait()
        for number in range(1001):
            telemetry.emit("function", str(number))
        released.set()
        events = await listener.until(3)
        assert [event["record"] for event in events[:2]] == ["in delivery", "1000"]
        assert events[2]["type"] == "platform.logsDropped"
        assert events[2]["record"]["reason"] == SLOW_CONSUMER
        assert events[2]["record"]["droppedRecords"] == 1000
        assert events[2]["record"]["droppedBytes"] > 1000

    entered, released = asyncio.Event(), asyncio.Event()

    async def answer() -> int:
        entered.set()
        await released.wait()
        return 200

    run(scenario, answer=answer)


def test_nothing_is_delivered_while_the_gate_is_closed() -> None:
    async def scenario(telemetry: Telemetry, listener: Listener) -> None:
        telemetry.subscribe("probe", listener.subscription())
        await listener.until(1)
        telemetry.gate.close()
        telemetry.emit("function", "frozen")
        telemetry.flush()
        other = Listener()
        await other.server.start()
        telemetry.subscribe("other", other.subscription())
        telemetry.gate.open()
        await other.until(1)
        await listener.until(3)
        assert [len(batch) for batch in listener.batches] == [1, 2]
        await other.server.close()

    run(scenario)


def test_a_second_subscription_takes_the_place_of_the_first_and_what_it_had_not_got() -> None:
    async def scenario(telemetry: Telemetry, listener: Listener) -> None:
        telemetry.forget_history()
        former = Listener()
        await former.server.start()
        telemetry.subscribe("probe", former.subscription(timeout_ms=30_000))
        telemetry.emit("function", "of the process before")
        telemetry.subscribe("probe", listener.subscription())
        events = await listener.until(3)
        assert [event["record"] for event in events if event["type"] == "function"] == ["of the process before"]
        assert events[-1]["record"]["state"] == "Already subscribed"
        assert former.batches == []
        await former.server.close()

    run(scenario)


def test_a_function_that_logs_json_has_it_as_objects_but_for_the_first_schema() -> None:
    async def scenario(telemetry: Telemetry, listener: Listener) -> None:
        telemetry.forget_history()
        telemetry.subscribe("new", listener.subscription(types=["function"]))
        old = Listener()
        await old.server.start()
        telemetry.subscribe("old", old.subscription(types=["function"], schema_version="2022-07-01"))
        for line in ('{"level": "INFO"}', "[1]", "no json"):
            telemetry.emit("function", line)
        assert [event["record"] for event in await listener.until(3)] == [{"level": "INFO"}, "[1]", "no json"]
        assert [event["record"] for event in await old.until(3)] == ['{"level": "INFO"}', "[1]", "no json"]
        await old.server.close()

    run(scenario, json_logs=True)


def test_an_extension_gets_the_events_of_its_environment_with_the_last_report_at_shutdown(
    start_lab: "StartLab",
) -> None:
    program = 'reported = listen()\nme = register(["INVOKE", "SHUTDOWN"])\nsay(put=subscribe(me)[2])\nserve(me)\n'
    lab = start_lab("def handler(event, context): return 1", extensions={"probe": program + "reported.wait()\n"})
    lab.invoke()
    lab.wait_frozen()
    lab.stop()
    got = [each["got"] for each in lab.said("extension") if "got" in each]
    assert [event["type"].removeprefix("platform.") for event in got] == [
        "initStart",
        "telemetrySubscription",
        "initRuntimeDone",
        "extension",
        "initReport",
        "start",
        "runtimeDone",
        "report",
    ]
    assert got == [event for event in lab.events if event["type"].startswith("platform.")]


def test_a_subscription_is_answered_with_ok_or_with_what_is_wrong_or_that_it_is_too_late(start_lab: "StartLab") -> None:
    program = """
me = register(["INVOKE", "SHUTDOWN"])
say(reply=subscribe(me, schemaVersion="1"))
say(reply=subscribe(me, types=["platform"]))
next_event(me)
say(reply=subscribe(me))
serve(me)
"""
    lab = start_lab("def handler(event, context): return 1", extensions={"probe": program})
    lab.invoke()
    lab.wait_frozen()
    bad, good, late = [each["reply"] for each in lab.said("extension") if "reply" in each]
    assert (bad[0], bad[1]["content-type"]) == (400, "text/plain; charset=utf-8")
    assert bad[2].startswith('{"errorType": "ValidationError", "errorMessage": "schema validation error: ')
    assert (good[0], good[2]) == (200, '"OK"')
    assert late[0] == 403
    assert json.loads(late[2]) == {
        "errorMessage": "Telemetry API subscription is closed already",
        "errorType": "Telemetry.SubscriptionClosed",
    }
