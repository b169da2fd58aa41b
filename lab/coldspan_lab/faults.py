"""Faults on demand (docs/faults.md): each is a row of FAULTS, made of what the lab asks for where it could go wrong.

What hits an invocation or an init hits the first one; what hits telemetry or the collector holds for the whole run.
"""

import asyncio
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from coldspan_lab.errors import FaultUnknown
from coldspan_lab.model import Moment

if TYPE_CHECKING:  # the command reads the table without what only the lab's extra brings
    from coldspan_lab.domain import Domain
    from coldspan_lab.processes import Process

IN_INIT_S = 0.1
"""From the start of the runtime's process to a strike: by then most functions are loading."""
IN_HANDLER_S = 0.02
LIMIT_S = 1.5
"""What the limits of init and restore are lowered to, where they are to be exceeded."""
TELEMETRY_DELAY_S = 0.5
COLLECTOR_DELAY_S = 2.0
COLLECTOR_REFUSALS = 2


@dataclass(frozen=True, slots=True)
class Strike:
    """Signals processes once: `delay_s` after the moment, or upon the runtime's next call, whichever comes first."""

    after: Moment
    delay_s: float
    targets: "Callable[[Domain], list[Process]]"
    """Without any, the moment passes."""
    number: signal.Signals
    limit_s: float | None = None
    """Lowers the time limit of what the moment begins."""
    error_type: str | None = None
    """What the platform calls it, where that is not what it would conclude from the exit."""
    silences: bool = True
    """The call that it comes upon, and those after it, are never answered: the process did not live to make them."""


class Refusal(Enum):
    """Why the first response is not accepted."""

    TOO_LARGE = 413
    INTERNAL_ERROR = 500


def _as_it_is(batch: list[bytes]) -> list[list[bytes]]:
    return [batch]


@dataclass(frozen=True, slots=True)
class Route:
    """How telemetry gets to its subscribers."""

    delay_s: float = 0.0
    """From when a batch is due to when it is sent."""
    batches: Callable[[list[bytes]], list[list[bytes]]] = _as_it_is
    """What is sent for a batch of encoded events."""
    supported: bool = True
    """Whether there is telemetry at all; AWS's emulator has none."""

    def then(self, other: "Route") -> "Route":
        """Both, one after the other."""
        return Route(
            self.delay_s + other.delay_s,
            lambda batch: [last for first in self.batches(batch) for last in other.batches(first)],
            self.supported and other.supported,
        )


@dataclass(frozen=True, slots=True)
class Hindrance:
    """What keeps the lab's collector from its work."""

    down: bool = False
    """Nothing listens at its address."""
    delay_s: float = 0.0
    """Before each answer."""
    refusals: int = 0
    """So many exports are answered 503 before one is accepted."""

    def and_also(self, other: "Hindrance") -> "Hindrance":
        return Hindrance(self.down or other.down, self.delay_s + other.delay_s, self.refusals + other.refusals)


How = Strike | Refusal | Route | Hindrance


@dataclass(frozen=True, slots=True)
class Fault:
    """`does`: what the lab does, for the help and the docs."""

    does: str
    how: How


def _runtime(domain: "Domain") -> "list[Process]":
    return [domain.runtime.process] if domain.runtime.process is not None else []


def _extensions(domain: "Domain") -> "list[Process]":
    return [each.process for each in domain.external() if each.process is not None]


def _in_handler(
    number: signal.Signals,
    targets: "Callable[[Domain], list[Process]]" = _runtime,
    error_type: str | None = None,
) -> Strike:
    return Strike(Moment.NEXT_REPLIED, IN_HANDLER_S, targets, number, error_type=error_type)


FAULTS = {
    "init-timeout": Fault(
        f"stops the runtime in its first init, whose limit is {LIMIT_S:g} s",
        Strike(Moment.RUNTIME_SPAWNED, IN_INIT_S, _runtime, signal.SIGSTOP, limit_s=LIMIT_S),
    ),
    "runtime-killed-in-init": Fault(
        "kills the runtime in its first init",
        Strike(Moment.RUNTIME_SPAWNED, IN_INIT_S, _runtime, signal.SIGKILL),
    ),
    "restore-timeout": Fault(
        f"stops the runtime in its first restore (--init-type snap-start), whose limit is {LIMIT_S:g} s",
        Strike(Moment.RESTORE_BEGUN, 0.0, _runtime, signal.SIGSTOP, limit_s=LIMIT_S),
    ),
    "runtime-killed": Fault("kills the runtime in the first invocation", _in_handler(signal.SIGKILL)),
    "runtime-hangs": Fault(
        "stops the runtime in the first invocation, which then times out", _in_handler(signal.SIGSTOP)
    ),
    "out-of-memory": Fault(
        "kills the runtime in the first invocation, as the kernel does it for want of memory",
        _in_handler(signal.SIGKILL, error_type="Runtime.OutOfMemory"),
    ),
    "extension-killed": Fault("kills the extensions in the first invocation", _in_handler(signal.SIGKILL, _extensions)),
    "extension-hangs": Fault(
        "stops the extensions in the first invocation: the response is out, the time runs out",
        Strike(Moment.INVOCATION_BEGUN, 0.0, _extensions, signal.SIGSTOP, silences=False),
    ),
    "response-too-large": Fault("answers 413 to the first response", Refusal.TOO_LARGE),
    "response-refused": Fault("answers 500 to the first response", Refusal.INTERNAL_ERROR),
    "telemetry-late": Fault(
        f"delivers telemetry {TELEMETRY_DELAY_S * 1000:.0f} ms late", Route(delay_s=TELEMETRY_DELAY_S)
    ),
    "telemetry-lost": Fault("delivers no telemetry", Route(batches=lambda batch: [])),
    "telemetry-duplicated": Fault(
        "delivers each batch of telemetry twice", Route(batches=lambda batch: [batch, batch])
    ),
    "telemetry-reordered": Fault(
        "delivers the events of a batch in reverse order", Route(batches=lambda batch: [batch[::-1]])
    ),
    "telemetry-unsupported": Fault("answers 202 to the subscription to telemetry", Route(supported=False)),
    "collector-down": Fault("has nothing listen where the collector should be", Hindrance(down=True)),
    "collector-slow": Fault(f"answers each export after {COLLECTOR_DELAY_S:g} s", Hindrance(delay_s=COLLECTOR_DELAY_S)),
    "collector-503": Fault(
        f"answers 503 to the first {COLLECTOR_REFUSALS} exports", Hindrance(refusals=COLLECTOR_REFUSALS)
    ),
}


@dataclass(slots=True)
class _Armed:
    """A strike that has met its domain."""

    strike: Strike
    domain: "Domain"
    done: bool = False

    def hit(self) -> None:
        if self.done or self.domain.stopping:
            return
        self.done = True
        for process in self.strike.targets(self.domain):
            process.signal_group(self.strike.number)
        if self.strike.error_type is not None:
            self.domain.fail(self.strike.error_type, "Runtime exited with error: signal: killed")


@dataclass(slots=True)
class Faults:
    """The faults of one service, whichever environment comes to them first."""

    _strikes: list[Strike] = field(default_factory=list)
    _refusals: list[Refusal] = field(default_factory=list)
    route: Route = field(default_factory=Route)
    hindrance: Hindrance = field(default_factory=Hindrance)
    _armed: list[_Armed] = field(default_factory=list)

    @classmethod
    def named(cls, names: Iterable[str]) -> "Faults":
        """Raises FaultUnknown."""
        faults = cls()
        for name in dict.fromkeys(names):
            faults._add(fault_named(name).how)
        return faults

    def _add(self, how: How) -> None:
        match how:
            case Strike():
                self._strikes.append(how)
            case Refusal():
                self._refusals.append(how)
            case Route():
                self.route = self.route.then(how)
            case Hindrance():
                self.hindrance = self.hindrance.and_also(how)

    def limit_s(self, begins: Moment, usual_s: float) -> float:
        """The time limit of what the moment begins."""
        lowered = [each.limit_s for each in self._strikes if each.after is begins and each.limit_s is not None]
        return min([usual_s, *lowered])

    def saw(self, moment: Moment, domain: "Domain") -> None:
        """Arms the strikes that the moment is for."""
        for strike in [each for each in self._strikes if each.after is moment and each.targets(domain)]:
            self._strikes.remove(strike)
            armed = _Armed(strike, domain)
            self._armed.append(armed)
            if strike.delay_s:
                asyncio.get_running_loop().call_later(strike.delay_s, armed.hit)
            else:
                armed.hit()

    async def before_call(self, domain: "Domain") -> None:
        """Before each call of the runtime's. One that is silenced never returns: it is cancelled with its domain."""
        for armed in self._armed:
            if armed.domain is domain:
                armed.hit()
                if armed.strike.silences:
                    await domain.closed

    def refuse(self, refusal: Refusal) -> bool:
        """Whether a response is to be refused for this reason; once."""
        wanted = refusal in self._refusals
        if wanted:
            self._refusals.remove(refusal)
        return wanted


def fault_named(name: str) -> Fault:
    """Raises FaultUnknown."""
    try:
        return FAULTS[name]
    except KeyError:
        raise FaultUnknown(f"{name}: expected one of {', '.join(FAULTS)}") from None
