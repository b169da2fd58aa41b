"""What the extension must know of an event, taken from it while the handler waits: a few look-ups, no meaning.

The extension decides what a fact means (coldspan_extension.triggers): it can take its time, and be changed alone.
"""

MAX_HEADERS = 200
"""Headers looked at, at most: an event is the caller's, and may carry any number of them."""

_WANTED = {"traceparent", "tracestate"}
_LONGEST = 11


def of_event(event: object) -> "list[tuple[str, str]]":
    """Facts of a decoded event of any shape, as name and value. Of plain dicts and lists alone, as JSON decodes to: to
    look into an object of the user's own kind would run the user's code.

    `header.<name>` for the headers that carry a trace context, `event.httpMethod`, `event.requestContext` with the
    names of those of its members that tell a trigger, and when the request was made, in ms since the Unix epoch:
    `arrival.http_ms` by a gateway's clock, `arrival.queue_ms` by SQS's for the last message of a batch.
    """
    if type(event) is not dict:
        return []
    facts = _headers(event)
    method = event.get("httpMethod")
    if isinstance(method, str):
        facts.append(("event.httpMethod", method))
    context = event.get("requestContext")
    if type(context) is dict:
        facts.append(("event.requestContext", " ".join([name for name in ("http", "elb") if name in context])))
        requested = context.get("timeEpoch") or context.get("requestTimeEpoch")  # payload 2.0, payload 1.0
        if isinstance(requested, int):
            facts.append(("arrival.http_ms", str(requested)))
    sent = _sent(event.get("Records"))
    if sent:
        facts.append(("arrival.queue_ms", sent))
    return facts


def _sent(records: object) -> str:
    """SentTimestamp of the last of SQS's records."""
    last = records[-1] if type(records) is list and records else None
    attributes = last.get("attributes") if type(last) is dict else None
    sent = attributes.get("SentTimestamp") if type(attributes) is dict else None
    return sent if isinstance(sent, str) and len(sent) < 20 else ""


def _headers(event: "dict[object, object]") -> "list[tuple[str, str]]":
    found = []
    for member in ("headers", "multiValueHeaders"):
        headers = event.get(member)
        if type(headers) is not dict or len(headers) > MAX_HEADERS:
            continue
        for name, value in headers.items():
            if not isinstance(name, str) or len(name) > _LONGEST or name.lower() not in _WANTED:
                continue
            if isinstance(value, list) and len(value) == 1:  # several values of one header contradict each other
                value = value[0]
            if isinstance(value, str):
                found.append((f"header.{name.lower()}", value))
        if found:
            break
    return found
