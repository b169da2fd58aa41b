"""The bytes between the wrapper and the extension: where the pipe is, what travels in it, both directions side by side.

The pipe carries frames. One frame is one write of at most 4,096 bytes (PIPE_BUF), so the kernel never interleaves
two of them. All integers are unsigned and little-endian.

    frame   u8 0xC5 · u8 version · u16 length of the records · u32 pid of the writer · records
    record  u8 kind · u8 1 if another part follows · u16 length of the body · u32 invocation · u64 monotonic ns · body
    body    the fields of the kind, in the order of FIELDS:
            INT    u64
            TEXT   u16 length in bytes, UTF-8
            PAIRS  u16 count, then name and value as TEXT for each

`invocation` counts the invocations of the writing process from 1; 0 is before the first. A body longer than a frame
travels in consecutive parts. docs/record-format.md tells the same with an example.

Built without struct: the runtime client has not loaded it, and importing it costs 0.4 ms of the cold start. Nor with
os: the runtime has it, but the extension's interpreter starts without, and it takes 2 ms.
"""

import posix as os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_PATH = "/tmp/.coldspan"  # noqa: S108 - the one folder that runtime and extension both can write
VERSION = 1
MAGIC = 0xC5
MAX_FRAME = 4096
FRAME_HEADER = 8
RECORD_HEADER = 16
MAX_BODY = MAX_FRAME - FRAME_HEADER - RECORD_HEADER
MAX_TEXT = 16384
MAX_RECORD = 131072
"""Most bytes of one record's body over all its parts; a decoder gives up on a longer one."""

INT, TEXT, PAIRS = "int", "text", "pairs"
Value = int | str | list[tuple[str, str]]

HELLO = 1
CLIENT = 2
LOAD_BEGIN = 3
LOAD_END = 4
NEXT_BEGIN = 5
NEXT_END = 6
HANDLER_BEGIN = 7
HANDLER_END = 8
RESPONSE_BEGIN = 9
RESPONSE_END = 10
ERROR = 11
LOST = 12
DISABLED = 13
IMPORTS = 14
RESTORE_BEGIN = 15
RESTORE_END = 16
STREAM_BEGIN = 17
STREAM_END = 18

NAMES = {
    HELLO: "hello",
    CLIENT: "client",
    LOAD_BEGIN: "load begin",
    LOAD_END: "load end",
    NEXT_BEGIN: "next begin",
    NEXT_END: "next end",
    HANDLER_BEGIN: "handler begin",
    HANDLER_END: "handler end",
    RESPONSE_BEGIN: "response begin",
    RESPONSE_END: "response end",
    ERROR: "error",
    LOST: "lost",
    DISABLED: "disabled",
    IMPORTS: "imports",
    RESTORE_BEGIN: "restore begin",
    RESTORE_END: "restore end",
    STREAM_BEGIN: "stream begin",
    STREAM_END: "stream end",
}

FIELDS = {
    # The process, at the wrapper's first line. An empty text means that the process does not know.
    HELLO: (
        ("wall_ns", INT),  # CLOCK_REALTIME at the same instant as the record's monotonic time
        ("cpu_ns", INT),  # CPU time of the process so far: how long ago it started, at least
        ("implementation", TEXT),
        ("version", TEXT),
        ("description", TEXT),
        ("handler", TEXT),
        ("log_group", TEXT),
        ("log_stream", TEXT),
        ("task_root", TEXT),  # LAMBDA_TASK_ROOT, else the working directory: the function's own code
        ("stdlib", TEXT),  # the folder of the standard library
    ),
    # The runtime client that was found; a problem says why it runs unobserved.
    CLIENT: (("name", TEXT), ("version", TEXT), ("problem", TEXT)),
    LOAD_BEGIN: (),
    LOAD_END: (),
    NEXT_BEGIN: (),
    NEXT_END: (
        ("wall_ns", INT),  # CLOCK_REALTIME at the same instant as the record's monotonic time
        ("request_id", TEXT),
        ("deadline_ms", INT),
        ("arn", TEXT),
        ("trace_header", TEXT),
        ("event_size", INT),
    ),
    HANDLER_BEGIN: (("facts", PAIRS),),
    HANDLER_END: (),
    RESPONSE_BEGIN: (
        ("size", INT),  # bytes, as posted
        ("overhead_ns", INT),  # what the wrapper itself took in this process so far
        ("reported", TEXT),  # the error JSON as posted to /error, cut to MAX_TEXT; empty for a response
    ),
    RESPONSE_END: (("problem", TEXT),),  # why the Runtime API did not accept it; empty when it did
    # `where` is one of load, snapshot, restore, decode, handler, encode; `fatal` is 1 where the process ends of it.
    ERROR: (("where", TEXT), ("type", TEXT), ("message", TEXT), ("stack", TEXT), ("fatal", INT)),
    LOST: (("count", INT),),  # records dropped because the pipe and the backlog were full
    DISABLED: (("reason", TEXT),),  # the wrapper met a fault of its own and stopped recording
    IMPORTS: (("lines", TEXT),),  # what happened to imports, a line each (coldspan_wrapper.imports)
    # SnapStart: the hooks before the snapshot are done and the runtime waits for its restore; it is restored.
    RESTORE_BEGIN: (),
    RESTORE_END: (("wall_ns", INT),),  # CLOCK_REALTIME at the same instant: both clocks jumped
    # A response that is streamed, from its first byte on; mostly while the handler goes on.
    STREAM_BEGIN: (("overhead_ns", INT),),  # as of RESPONSE_BEGIN
    STREAM_END: (
        ("size", INT),  # bytes, the prelude of an HTTP response among them
        ("problem", TEXT),  # why it was not accepted; empty when it was
        ("reported", TEXT),  # the error JSON in its trailers, cut to MAX_TEXT; empty where the handler did not fail
    ),
}


class Corrupt(ValueError):
    """Bytes that are no record of this version. The message names what was found and what was expected."""


class Record:
    """One decoded record. `fields` maps the names of FIELDS[kind] to values."""

    __slots__ = ("fields", "invocation", "kind", "monotonic_ns", "pid")

    def __init__(self, kind: int, pid: int, invocation: int, monotonic_ns: int, fields: dict[str, Value]) -> None:
        self.kind = kind
        self.pid = pid
        self.invocation = invocation
        self.monotonic_ns = monotonic_ns
        self.fields = fields

    def __repr__(self) -> str:
        shown = " ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"<{NAMES[self.kind]} pid={self.pid} invocation={self.invocation} at={self.monotonic_ns} {shown}>"

    def text(self, name: str) -> str:
        value = self.fields[name]
        assert isinstance(value, str)
        return value

    def number(self, name: str) -> int:
        value = self.fields[name]
        assert isinstance(value, int)
        return value

    def pairs(self, name: str) -> "list[tuple[str, str]]":
        value = self.fields[name]
        assert isinstance(value, list)
        return value


def channel_path(chosen: str) -> str:
    """Of the pipe; `chosen` is COLDSPAN_CHANNEL. A relative one would be two pipes: the two sides start in folders of
    their own."""
    return chosen if chosen.startswith("/") else DEFAULT_PATH


def open_channel(path: str) -> int:
    """A descriptor of the named pipe at `path`, made with mode 0600 where there is none.

    Opened for reading and writing by both sides, so that neither needs the other to be there, and no SIGPIPE can
    come. Raises OSError: also where `path` is something else than a named pipe.
    """
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        pass
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    if os.fstat(descriptor).st_mode & 0o170000 != 0o010000:  # S_IFMT, S_IFIFO: the stat module is not loaded
        os.close(descriptor)
        raise OSError(f"{path} is there and is no named pipe")
    return descriptor


def encode(kind: int, invocation: int, monotonic_ns: int, *values: Value) -> "list[bytes]":
    """One record, as the parts that frame() takes. `values` are the fields of FIELDS[kind], in that order.

    Text longer than MAX_TEXT bytes is cut; what UTF-8 cannot encode is written as a backslash escape. Raises
    OverflowError for a number outside u64, ValueError for a wrong count of values.
    """
    if len(values) != len(FIELDS[kind]):
        raise ValueError(f"{NAMES[kind]}: {len(values)} values, expected {len(FIELDS[kind])}")
    body = b""
    for value in values:
        body += value.to_bytes(8, "little") if isinstance(value, int) else _encode_value(value)
    head = (invocation & 0xFFFFFFFF).to_bytes(4, "little") + monotonic_ns.to_bytes(8, "little")
    if len(body) <= MAX_BODY:
        return [bytes((kind, 0)) + len(body).to_bytes(2, "little") + head + body]
    parts = []
    while True:
        part, body = body[:MAX_BODY], body[MAX_BODY:]
        parts.append(bytes((kind, 1 if body else 0)) + len(part).to_bytes(2, "little") + head + part)
        if not body:
            return parts


def frame(pid: int, parts: "Iterator[bytes]") -> "tuple[bytes, int]":
    """One frame with as many of `parts` as fit, from the front, and how many those are."""
    taken: list[bytes] = []
    size = 0
    for part in parts:
        if taken and size + len(part) > MAX_FRAME - FRAME_HEADER:
            break
        taken.append(part)
        size += len(part)
    head = bytes((MAGIC, VERSION)) + size.to_bytes(2, "little") + pid.to_bytes(4, "little")
    return head + b"".join(taken), len(taken)


class Decoder:
    """Records from the bytes of the pipe, in whatever pieces they were read.

    What cannot be read is counted in `corrupt`, with the reason of the last in `fault`, and skipped: an unreadable
    record costs that record, foreign bytes cost nothing but themselves.
    """

    def __init__(self) -> None:
        self.corrupt = 0
        self.fault = ""
        self._unread = b""
        self._parts: dict[int, bytes] = {}  # bodies of which another part follows, by pid

    def feed(self, data: bytes) -> "list[Record]":
        self._unread += data
        found: list[Record] = []
        while len(self._unread) >= FRAME_HEADER:
            size = int.from_bytes(self._unread[2:4], "little")
            if self._unread[0] != MAGIC or self._unread[1] != VERSION or size > MAX_FRAME - FRAME_HEADER:
                self._skip_foreign_bytes()
                continue
            if len(self._unread) < FRAME_HEADER + size:
                break
            pid = int.from_bytes(self._unread[4:8], "little")
            records = self._unread[FRAME_HEADER : FRAME_HEADER + size]
            self._unread = self._unread[FRAME_HEADER + size :]
            self._read_records(pid, records, found)
        return found

    def _skip_foreign_bytes(self) -> None:
        version = self._unread[1]
        known = self._unread[0] == MAGIC and version != VERSION
        self._count(f"version {version}, this reader knows {VERSION}" if known else "bytes that begin no frame")
        start = self._unread.find(bytes((MAGIC, VERSION)), 1)
        self._unread = self._unread[start:] if start > 0 else self._unread[-1:]

    def _read_records(self, pid: int, data: bytes, found: "list[Record]") -> None:
        while data:
            size = int.from_bytes(data[2:4], "little")
            if len(data) < RECORD_HEADER + size:
                self._count(f"a record of {RECORD_HEADER + size} bytes in the last {len(data)} of its frame")
                return
            part, data = data[: RECORD_HEADER + size], data[RECORD_HEADER + size :]
            body = self._parts.pop(pid, b"") + part[RECORD_HEADER:]
            if part[1] and len(body) <= MAX_RECORD:
                self._parts[pid] = body
                continue
            try:
                found.append(decode(pid, part[:RECORD_HEADER], body))
            except Corrupt as fault:
                self._count(str(fault))

    def _count(self, fault: str) -> None:
        self.corrupt += 1
        self.fault = fault


def decode(pid: int, header: bytes, body: bytes) -> Record:
    """The record of a 16-byte header and its whole body. Raises Corrupt."""
    kind = header[0]
    if kind not in FIELDS:
        raise Corrupt(f"record kind {kind}, expected 1 to {max(FIELDS)}")
    fields: dict[str, Value] = {}
    at = 0
    for name, of_type in FIELDS[kind]:
        fields[name], at = _decode_value(of_type, body, at)
    if at != len(body):
        raise Corrupt(f"{NAMES[kind]}: {len(body) - at} bytes after its last field")
    return Record(kind, pid, int.from_bytes(header[4:8], "little"), int.from_bytes(header[8:16], "little"), fields)


def _encode_value(value: "str | list[tuple[str, str]]") -> bytes:
    if isinstance(value, str):
        return _encode_text(value)
    return len(value).to_bytes(2, "little") + b"".join([_encode_text(text) for pair in value for text in pair])


def _encode_text(text: str) -> bytes:
    data = text[:MAX_TEXT].encode("utf-8", "backslashreplace")
    if len(data) > MAX_TEXT:
        data = data[:MAX_TEXT].decode("utf-8", "ignore").encode()
    return len(data).to_bytes(2, "little") + data


def _decode_value(of_type: str, body: bytes, at: int) -> tuple[Value, int]:
    if of_type == INT:
        return int.from_bytes(_slice(body, at, 8), "little"), at + 8
    if of_type == TEXT:
        return _decode_text(body, at)
    count = int.from_bytes(_slice(body, at, 2), "little")
    at += 2
    pairs = []
    for _ in range(count):
        name, at = _decode_text(body, at)
        value, at = _decode_text(body, at)
        pairs.append((name, value))
    return pairs, at


def _decode_text(body: bytes, at: int) -> "tuple[str, int]":
    size = int.from_bytes(_slice(body, at, 2), "little")
    try:
        return _slice(body, at + 2, size).decode(), at + 2 + size
    except UnicodeDecodeError as error:
        raise Corrupt(f"text that is no UTF-8: {error.reason}") from error


def _slice(body: bytes, at: int, size: int) -> bytes:
    piece = body[at : at + size]
    if len(piece) < size:
        raise Corrupt(f"{size} bytes expected at {at}, the body has {len(body)}")
    return piece


def main(arguments: "list[str]") -> int:
    """`python -m coldspan_wrapper.records CAPTURE`: a capture of the pipe as text, a line each record."""
    if len(arguments) != 1:
        print("usage: python -m coldspan_wrapper.records CAPTURE")  # noqa: T201
        return 2
    decoder = Decoder()
    with open(arguments[0], "rb") as capture:
        for record in decoder.feed(capture.read()):
            print(record)  # noqa: T201
    if decoder.corrupt:
        print(f"{decoder.corrupt} unreadable, the last: {decoder.fault}")  # noqa: T201
    return 0


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
