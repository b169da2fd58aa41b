"""URLs and percent-encoding as the settings need them. urllib.parse would take 9 ms of CPU time, which a small function
is billed for after its first response: 125 ms of it at 128 MB."""

DEFAULT_PORTS = {"http": 80, "https": 443}


class Url:
    """An absolute http or https URL. `path` begins with a slash or is empty, `query` with a question mark or is empty,
    `host` has no brackets; `userinfo` is what stands before an @."""

    __slots__ = ("host", "path", "port", "query", "scheme", "userinfo")

    def __init__(self, scheme: str, userinfo: str, host: str, port: int, path: str, query: str) -> None:
        self.scheme = scheme
        self.userinfo = userinfo
        self.host = host
        self.port = port
        self.path = path
        self.query = query

    def __str__(self) -> str:
        userinfo = f"{self.userinfo}@" if self.userinfo else ""
        return f"{self.scheme}://{userinfo}{self.authority}{self.path}{self.query}"

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them: without the scheme's own port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """What a request line names."""
        return (self.path or "/") + self.query

    def below(self, path: str) -> "Url":
        """The same with `path` appended, exactly one slash between."""
        joined = f"{self.path.rstrip('/')}/{path}"
        return Url(self.scheme, self.userinfo, self.host, self.port, joined, self.query)


def parse(text: str) -> Url:
    """Raises ValueError for anything but an absolute http or https URL."""
    scheme, found, rest = text.partition("://")
    scheme = scheme.lower()
    if not found or scheme not in DEFAULT_PORTS or not text.isprintable() or " " in text:
        raise ValueError(f"{text!r} is no http or https URL")
    rest = rest.partition("#")[0]
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    userinfo, _, authority = rest[:end].rpartition("@")
    path, mark, query = rest[end:].partition("?")
    host, port = _host_and_port(authority, DEFAULT_PORTS[scheme])
    return Url(scheme, userinfo, host.lower(), port, path, mark + query)


def _host_and_port(authority: str, default: int) -> "tuple[str, int]":
    if authority.startswith("["):
        host, closed, rest = authority[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not closed or colon not in ("", ":"):
            raise ValueError(f"{authority!r}: expected [IPv6 address]:port")
    else:
        host, colon, port = authority.partition(":")
    number = int(port) if port.isdigit() and len(port) < 6 else 0 if port else default
    if not host or not 0 < number < 65536:
        raise ValueError(f"{authority!r}: expected a host, and a port from 1 to 65535")
    return host, number


def unquote(text: str) -> str:
    """Percent-decoded; what is no valid escape stays as it is, and what is no UTF-8 is replaced."""
    if "%" not in text:
        return text
    first, *rest = text.encode("utf-8", "surrogateescape").split(b"%")
    decoded = first
    for part in rest:
        try:
            decoded += bytes((int(part[:2], 16),)) + part[2:] if len(part) > 1 and part[:2].isalnum() else b"%" + part
        except ValueError:
            decoded += b"%" + part
    return decoded.decode("utf-8", "replace")
