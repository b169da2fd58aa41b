"""What was observed of an environment, its runtime process and its invocations: facts with Unix times in ns, 0 or
absent where nobody saw them. Assembly fills them in, trace.py reads them."""

from coldspan_extension import platform, starts
from coldspan_extension.importlog import ImportLog
from coldspan_extension.platform import PlatformEvent
from coldspan_wrapper.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coldspan_extension.imports import Policy


class Environment:
    """The execution environment as this extension process found it."""

    def __init__(self, init_type: str) -> None:
        self.init_type = init_type  # AWS_LAMBDA_INITIALIZATION_TYPE
        self.is_repeated = False  # a process before the extension's left its pipe here
        self.began_ns = 0  # the extension's process
        self.registered_ns = 0
        self.next_asked_ns = 0  # the extension's first event/next
        self.platform: dict[str, PlatformEvent] = {}  # of init and restore, by type
        self.runtime: Runtime | None = None
        self.imports: Policy | None = None  # which of the runtime's imports become spans; None for none
        self.proactive_after_ns = starts.PROACTIVE_AFTER_NS
        self.has_served = False  # it got an event, hence its init had succeeded
        self.ended_ns = 0  # SHUTDOWN
        self.shutdown_reason = ""

    @property
    def phase(self) -> str:
        """init, or invoke where init is repeated inside an invocation; empty where nobody told. Lambda repeats it there
        alone, so what is left of an earlier process tells it too."""
        start = self.platform.get(platform.INIT_START)
        return start.text("phase") if start else "invoke" if self.is_repeated else ""


class Failure:
    """An exception that the wrapper saw. `where` is one of load, snapshot, restore, decode, handler, encode."""

    def __init__(self, record: Record, at_ns: int) -> None:
        self.where = record.text("where")
        self.type = record.text("type")
        self.message = record.text("message")
        self.stack = record.text("stack")
        self.is_fatal = bool(record.number("fatal"))
        self.at_ns = at_ns


class Runtime:
    """The runtime's process: one for each init."""

    def __init__(self, hello: Record, began_ns: int) -> None:
        self.hello = hello
        self.began_ns = began_ns  # the process
        self.state = ""  # of assembly.TRANSITIONS
        self.at: dict[int, int] = {}  # record kind -> when it was written first
        self.client_seen = False
        self.is_silent = False  # nothing more will be recorded
        self.failures: list[Failure] = []  # before the first invocation
        self.asked_ns = 0  # the latest NEXT_BEGIN
        self.ended_ns = 0  # the process was found gone
        self.invocation = 0  # the number of the one it serves, by the wrapper's count
        self.imports = ImportLog(hello.text("task_root"), hello.text("stdlib"))
        self.serving: Invocation | None = None
        self.set_clock(hello)
        self.hello_ns = self.unix_ns(hello.monotonic_ns)

    def set_clock(self, record: Record) -> None:
        """Takes the pair of clocks that hello and each reply of next carry; the latest pair converts what follows."""
        self._wall_ns = record.number("wall_ns")
        self._monotonic_ns = record.monotonic_ns

    def unix_ns(self, monotonic_ns: int) -> int:
        return self._wall_ns + monotonic_ns - self._monotonic_ns


class Invocation:
    """One invocation, keyed by request id and deadline (asynchronous retries share the id)."""

    def __init__(self, request_id: str, deadline_ms: int, sequence: int) -> None:
        self.request_id = request_id
        self.deadline_ms = deadline_ms
        self.sequence = sequence  # of this environment, from 1
        self.arn = ""
        self.trace_header = ""
        self.invoked_ns = 0  # our INVOKE event
        self.asked_ns = 0  # the runtime's next call that this event answered
        self.at: dict[int, int] = {}  # record kind -> when it was written
        self.facts: list[tuple[str, str]] = []
        self.failures: list[Failure] = []
        self.response_size = 0
        self.is_streamed = False  # the response began while the handler went on, at its first byte
        self.wrapper_overhead_ns = 0
        self.reported = ""
        self.response_problem = ""
        self.runtime: Runtime | None = None
        self.platform: dict[str, PlatformEvent] = {}
        self.is_over = False  # nothing more will be seen of it but its report
        self.over_ns = 0  # when that became known without a response
        self.is_followed = False  # by another one: the environment outlived it
        self.shutdown_reason = ""
        self.next_asked_ns = 0  # our own event/next after it; before its end where nothing was held back for it
        self.returned_ns = 0  # the runtime's next call after it

    @property
    def deadline_ns(self) -> int:
        return self.deadline_ms * 1_000_000
