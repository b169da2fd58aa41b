"""From the first line of Python to the first event/next: what every cold start waits for, and nothing else.

Lambda starts the runtime when every extension has registered, and ends init when every extension asked for its next
event. So: register (the start script has done it where there is bash), bind, subscribe, open the pipe, next. All other
modules are imported when the request for the next event is on its way. Nothing imports `os`, which site would have
loaded: `posix`, the C module below it, has all that is needed, without 2 ms for abstract base classes.
"""

import posix as os
import time

from coldspan_extension import telemetry, tree
from coldspan_extension.api import ApiError, ExtensionsApi
from coldspan_extension.poller import Poller
from coldspan_wrapper import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from coldspan_extension.extension import Extension

DEFAULT_LISTEN = ("0.0.0.0", 24318)  # noqa: S104 - Lambda's core reaches us by the sandbox's own address
MAX_NOTES = 20
MAX_PAUSE_S = 0.5  # an event that waits for us keeps the environment, up to the function's timeout
INIT_AHEAD = ("provisioned-concurrency", "snap-start", "lambda-managed-instances")
ON_DEMAND_EVENTS = b'["INVOKE","SHUTDOWN"]'


class Boot:
    """What the start made, and when (Unix ns)."""

    def __init__(self, environ: "Mapping[str, str]") -> None:
        self.environ = environ
        self.api = ExtensionsApi(environ.get("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"))
        self.poller = Poller()
        self.notes: list[tuple[str, dict[str, object]]] = []
        """Warnings to log, event and facts, as soon as there is time to load a logger."""
        self.registered_ns = 0
        self.next_asked_ns = 0
        self.listener: telemetry.Listener | None = None
        self.channel = -1
        self.is_repeated = False
        """A process before ours made the pipe: this init is a second one, after a reset."""
        chosen = environ.get("COLDSPAN_CHANNEL", "")
        self.channel_path = records.channel_path(chosen)
        if chosen not in ("", self.channel_path):
            self.note("config_invalid", variable="COLDSPAN_CHANNEL", value=chosen, accepted="an absolute path")

    @property
    def is_ahead(self) -> bool:
        """Nobody waits for this init, nor pays for it by the invocation."""
        return self.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") in INIT_AHEAD and not self.is_repeated

    @property
    def leftover_path(self) -> str:
        """Beside the pipe: what leftover.py writes."""
        return self.channel_path + ".init"

    def note(self, event: str, **facts: object) -> None:
        if len(self.notes) < MAX_NOTES:
            self.notes.append((event, facts))


def main(started: "dict[str, str]") -> None:
    """`started`: what the start script knows: descriptor, identifier, registration (the reply's body), began and
    registered (Unix seconds with six decimals), again (a pipe was there). Empty where it could not register itself."""
    boot = Boot({_text(name): _text(value) for name, value in os.environ.items()})
    try:
        _register(boot, started)
        _prepare(boot)
        serving = None
        if boot.is_ahead:
            serving = _serving(boot, started)
            serving.load()
        boot.next_asked_ns = time.time_ns()
        boot.api.ask_next()
        (serving or _serving(boot, started)).run()
    except Exception as fault:
        idle(boot, fault)
    # Not by returning: the interpreter would wait for the exporter's thread, which first imported `threading` and so
    # passes for the main thread there. Everything of ours is written unbuffered.
    os._exit(0)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _serving(boot: Boot, started: "dict[str, str]") -> "Extension":
    from coldspan_extension.extension import Extension

    return Extension(boot, _nanoseconds(started.get("began", "")))


def _register(boot: Boot, started: "dict[str, str]") -> None:
    if started.get("identifier"):
        boot.api.adopt(int(started["descriptor"]), started["identifier"], started["registration"].encode())
        boot.registered_ns = _nanoseconds(started.get("registered", "")) or time.time_ns()
        boot.is_repeated = bool(started.get("again"))
        return
    boot.is_repeated = tree.exists(boot.channel_path)
    try:
        boot.api.register(events(boot.environ))
    except ApiError:
        # Init waits for us, up to its limit, and would fail. An environment of a kind that is not known yet may refuse
        # INVOKE, as managed instances do: the function shall run there, if untraced.
        boot.api.register(b"[]")
        raise
    boot.registered_ns = time.time_ns()


def events(environ: "Mapping[str, str]") -> bytes:
    """What to register for: nothing when switched off, no INVOKE where Lambda refuses it (managed instances)."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return b"[]"
    if environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "lambda-managed-instances":
        return b'["SHUTDOWN"]'
    return ON_DEMAND_EVENTS


def _prepare(boot: Boot) -> None:
    """Listener, subscription and pipe. Each can fail alone; then there is less to see."""
    if events(boot.environ) == b"[]":
        return
    try:
        boot.listener = _listener(boot)
        status = boot.api.subscribe(boot.listener.port)
        if status != 200:
            boot.note("telemetry_unavailable", status=status)
    except OSError as error:
        boot.note("telemetry_unavailable", reason=str(error))
    try:
        boot.channel = records.open_channel(boot.channel_path)
    except OSError as error:
        boot.note("channel_unavailable", reason=str(error), path=boot.channel_path)


def _listener(boot: Boot) -> telemetry.Listener:
    """Raises OSError where it cannot be had at our own address either."""
    value, accepted = boot.environ.get("COLDSPAN_LISTEN", ""), "HOST:PORT"
    host, _, port = value.rpartition(":")
    if host and value.isascii() and port.isdigit() and 0 < int(port) < 65536 - telemetry.PORTS:
        try:
            return telemetry.Listener(host, int(port), boot.poller)
        except OSError as error:
            accepted = f"an address to listen at: {error}"
    if value:
        boot.note("config_invalid", variable="COLDSPAN_LISTEN", value=value, accepted=accepted)
    return telemetry.Listener(*DEFAULT_LISTEN, boot.poller)


def _nanoseconds(seconds: str) -> int:
    """Of EPOCHREALTIME's text, 1795508392.633123; 0 where there is none (bash before 5)."""
    whole, _, fraction = seconds.replace(",", ".").partition(".")
    return int(whole + fraction.ljust(9, "0")[:9]) if whole.isdigit() and fraction.isdigit() else 0


def idle(boot: Boot, fault: Exception) -> None:
    """The last resort: an extension that ends, even with code 0, takes the function down. So it stays, and asks for
    the next event until SHUTDOWN, with a growing pause where the API itself fails."""
    _say(fault)
    pause_s = 0.05
    if not boot.api.is_waiting:
        boot.api.disconnect()
    while boot.api.identifier and not boot.api.is_shut_down:
        try:
            if not boot.api.is_waiting:
                boot.api.ask_next()
            while boot.api.read_next(time.time_ns()) is None:
                pass
        except (OSError, ApiError):
            boot.api.disconnect()
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, MAX_PAUSE_S)
    while not boot.api.is_shut_down:  # not even registered: init fails by its time limit, whatever we do
        time.sleep(3600)


def _say(fault: Exception) -> None:
    """One line on stderr, JSON like every other, without the logger: it may be what failed."""
    reason = f"{type(fault).__name__}: {fault}".encode("ascii", "backslashreplace").decode().replace("\\", "\\\\")
    reason = "".join(character if character.isprintable() else " " for character in reason).replace('"', "'")
    line = f'{{"level":"error","event":"extension_idle","logger":"coldspan","reason":"{reason}"}}\n'
    try:
        os.write(2, line.encode())
    except OSError:
        pass
