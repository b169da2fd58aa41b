"""Generates telemetry and pushes it to whoever subscribed: in order, in batches, one delivery at a time each."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from coldspan_lab import clock, platform_events
from coldspan_lab.faults import Route
from coldspan_lab.http import Client
from coldspan_lab.model import TelemetryEvent
from coldspan_lab.subscription import Subscription

RETRY_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Between the attempts at one batch; after the last it is dropped. Lambda's own pauses are not published."""
SLOW_CONSUMER = "Some logs were dropped because the downstream consumer is slower than the logs production rate"
UNREACHABLE = "Some logs were dropped because the downstream consumer did not accept them"


class Gate:
    """Closed while the environment is frozen or has no processes: nothing is delivered then."""

    def __init__(self) -> None:
        self._open = asyncio.Event()

    def open(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._open.clear()

    async def passed(self) -> None:
        await self._open.wait()


class Subscriber:
    """One extension's buffer and its delivery."""

    def __init__(self, subscription: Subscription, gate: Gate, route: Route, *, json_logs: bool) -> None:
        self._subscription = subscription
        self._gate = gate
        self._route = route
        self._json_logs = json_logs and subscription.schema_version != "2022-07-01"
        self._buffer: list[bytes] = []
        self._size = 0
        self._in_flight: list[bytes] = []
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._dropped: dict[str, tuple[int, int]] = {}
        self._client = Client(subscription.port)
        self._task = asyncio.get_running_loop().create_task(self._deliver())

    def offer(self, event: TelemetryEvent) -> None:
        """Buffers an event of a type it subscribed to. A batch that is full before the last was taken is dropped."""
        if event["type"].partition(".")[0] not in self._subscription.types:
            return
        data = self._encode(event)
        full = self._size + len(data) > self._subscription.max_bytes
        if full or len(self._buffer) >= self._subscription.max_items:
            self._drop(SLOW_CONSUMER, self._take())
        self._buffer.append(data)
        self._size += len(data)
        if self._size >= self._subscription.max_bytes or len(self._buffer) >= self._subscription.max_items:
            self._due.set()
        elif self._timer is None:
            delay_s = self._subscription.timeout_ms / 1000
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._due.set)

    def flush(self) -> None:
        """Sends what there is without waiting for more."""
        if self._buffer:
            self._due.set()

    def cancel(self) -> list[bytes]:
        """Ends the delivery; what was not accepted yet is returned."""
        self._task.cancel()
        self._client.close()
        return self._in_flight + self._take()

    def adopt(self, events: list[bytes]) -> None:
        """Takes over what an earlier subscription did not deliver."""
        self._buffer[:0] = events
        self._size += sum(map(len, events))
        self.flush()

    async def _deliver(self) -> None:
        while True:
            await self._due.wait()
            await asyncio.sleep(self._route.delay_s)
            await self._gate.passed()
            self._in_flight = self._take() + self._losses()
            for batch in self._route.batches(self._in_flight) if self._in_flight else ():
                if not await self._send(b"[" + b",".join(batch) + b"]"):
                    self._drop(UNREACHABLE, batch)
            self._in_flight = []

    def _losses(self) -> list[bytes]:
        """platform.logsDropped events. They go out with other events only: alone, a loss would cause the next one."""
        now = clock.unix_ns(clock.now_ns())
        records = [platform_events.logs_dropped(reason, *counts) for reason, counts in self._dropped.items()]
        self._dropped.clear()
        return [self._encode(platform_events.event("platform.logsDropped", record, now)) for record in records]

    async def _send(self, body: bytes) -> bool:
        headers = (
            ("Host", f"sandbox.localdomain:{self._subscription.port}"),
            ("User-Agent", "Go-http-client/1.1"),
            ("Content-Type", "application/json"),
        )
        for pause_s in (*RETRY_PAUSES_S, None):
            try:
                if await self._client.post(self._subscription.path, headers, body) < 400:
                    return True
            except OSError:
                pass  # no listener yet, or no longer
            if pause_s is not None:
                await asyncio.sleep(pause_s)
                await self._gate.passed()
        return False

    def _take(self) -> list[bytes]:
        batch, self._buffer, self._size = self._buffer, [], 0
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return batch

    def _drop(self, reason: str, events: list[bytes]) -> None:
        records, size = self._dropped.get(reason, (0, 0))
        self._dropped[reason] = (records + len(events), size + sum(map(len, events)))

    def _encode(self, event: TelemetryEvent) -> bytes:
        if self._json_logs and isinstance(event["record"], str):
            event = {**event, "record": _structured(event["record"])}
        return json.dumps(event, separators=(",", ":")).encode()


class Telemetry:
    """The events of one environment, and its subscribers, which outlive a reset as they do on Lambda."""

    def __init__(self, on_event: Callable[[TelemetryEvent], None], route: Route, *, json_logs: bool) -> None:
        self._on_event = on_event
        self._route = route
        self._json_logs = json_logs
        self._history: list[TelemetryEvent] | None = []
        self._subscribers: dict[str, Subscriber] = {}
        self.gate = Gate()

    @property
    def supported(self) -> bool:
        return self._route.supported

    def emit(self, kind: str, record: "dict[str, Any] | str") -> None:
        """Generates an event now."""
        event = platform_events.event(kind, record, clock.unix_ns(clock.now_ns()))
        if self._history is not None:
            self._history.append(event)
        for subscriber in self._subscribers.values():
            subscriber.offer(event)
        self._on_event(event)

    def subscribe(self, name: str, subscription: Subscription) -> None:
        """A first subscription gets what was generated before it; a further one takes the former's place."""
        former = self._subscribers.get(name)
        subscriber = Subscriber(subscription, self.gate, self._route, json_logs=self._json_logs)
        self._subscribers[name] = subscriber
        if former is not None:
            subscriber.adopt(former.cancel())
        else:
            for event in self._history or ():
                subscriber.offer(event)
        state = "Subscribed" if former is None else "Already subscribed"
        record = platform_events.telemetry_subscription(name, state, subscription.types)
        self.emit("platform.telemetrySubscription", record)

    def keep_history(self) -> None:
        """An initialisation begins: whoever subscribes from now on gets what it missed."""
        if self._history is None:
            self._history = []

    def forget_history(self) -> None:
        """Subscription is closed."""
        self._history = None

    def flush(self) -> None:
        for subscriber in self._subscribers.values():
            subscriber.flush()

    def close(self) -> None:
        for subscriber in self._subscribers.values():
            subscriber.cancel()


def _structured(line: str) -> "dict[str, Any] | str":
    """A log line that is a JSON object becomes that object."""
    try:
        value = json.loads(line)
    except ValueError:
        return line
    return value if isinstance(value, dict) else line
