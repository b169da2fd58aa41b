"""Servers that are asked over HTTP: how they are reached, and what is said when they are not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests

from coldspan_report.errors import ServerFailed, SourceInvalid

CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class Connection:
    """From the command line."""

    timeout_s: float = 60.0
    headers: Mapping[str, str] = field(default_factory=dict)
    ca_file: str | None = None
    certificate: str | None = None
    """A client's certificate with its key, PEM."""


def base_url(source: str, schemes: Mapping[str, str], port: int) -> str:
    """The URL in front of /api. `schemes` has by the source's scheme the one to connect with; `port` is what a message
    shows as the usual one. Raises SourceInvalid."""
    parts = urlsplit(source)
    if not parts.hostname or parts.username or parts.query:
        raise SourceInvalid(f"expected {parts.scheme}://host:{port}; credentials go into --header")
    return f"{schemes[parts.scheme]}://{parts.netloc}{parts.path.rstrip('/')}"


def session(connection: Connection) -> requests.Session:
    opened = requests.Session()
    opened.verify = connection.ca_file or True
    opened.cert = connection.certificate
    opened.headers.update(connection.headers)
    return opened


def send(opened: requests.Session, timeout_s: float, method: str, url: str, **request: Any) -> requests.Response:
    """Whatever its status. Redirects are not followed: they would take the headers along. Raises ServerFailed."""
    timeout = (min(timeout_s, CONNECT_S), timeout_s)
    # Left to the session, the file that was named gives way to the variable REQUESTS_CA_BUNDLE.
    verify = opened.verify
    try:
        return opened.request(method, url, timeout=timeout, verify=verify, allow_redirects=False, **request)
    except requests.Timeout as error:
        raise ServerFailed(f"{url} did not answer within {timeout_s:g} s (--timeout)") from error
    except (requests.RequestException, OSError) as error:
        raise ServerFailed(f"{url} cannot be reached: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    cause = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return str(cause) or type(cause).__name__
