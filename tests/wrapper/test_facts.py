"""Facts of events: what a trace needs, from events of any shape, without a copy of anything else."""

import pytest

from coldspan_wrapper.facts import MAX_HEADERS, of_event

CONTEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("event", "facts"),
    [
        ({"headers": {"traceparent": CONTEXT}}, [("header.traceparent", CONTEXT)]),
        ({"headers": {"TraceParent": CONTEXT, "tracestate": "a=b"}},
         [("header.traceparent", CONTEXT), ("header.tracestate", "a=b")]),
        ({"headers": None, "multiValueHeaders": {"traceparent": [CONTEXT]}}, [("header.traceparent", CONTEXT)]),
        ({"multiValueHeaders": {"traceparent": [CONTEXT, CONTEXT]}}, []),
        ({"headers": {"traceparent": 5, 7: "x"}}, []),
        ({"headers": {str(n): "" for n in range(MAX_HEADERS)} | {"traceparent": CONTEXT}}, []),
        ({"requestContext": {"http": {"method": "GET"}}}, [("event.requestContext", "http")]),
        ({"requestContext": {"elb": {}}, "httpMethod": "GET"},
         [("event.httpMethod", "GET"), ("event.requestContext", "elb")]),
        ({"requestContext": "text", "httpMethod": 1}, []),
        ({"requestContext": {"http": {}, "timeEpoch": 1_795_508_392_633}},
         [("event.requestContext", "http"), ("arrival.http_ms", "1795508392633")]),
        ({"requestContext": {"requestTimeEpoch": 1_795_508_392_633}, "httpMethod": "GET"},
         [("event.httpMethod", "GET"), ("event.requestContext", ""), ("arrival.http_ms", "1795508392633")]),
        ({"requestContext": {"timeEpoch": "soon"}}, [("event.requestContext", "")]),
        ({"Records": [{"attributes": {"SentTimestamp": "1"}}, {"attributes": {"SentTimestamp": "1795508392633"}}]},
         [("arrival.queue_ms", "1795508392633")]),
        ({"Records": [{"attributes": {"SentTimestamp": 5}}]}, []),
        ({"Records": [{"Sns": {}}]}, []),
        ({"Records": [None]}, []),
        ({"Records": {}}, []),
        ([{"headers": {"traceparent": CONTEXT}}], []),
        ("text", []),
        (None, []),
    ],
)  # fmt: skip
def test_facts_of_events_of_any_shape(event: object, facts: list[tuple[str, str]]) -> None:
    assert of_event(event) == facts


def test_no_code_of_a_users_own_kind_of_event_is_run() -> None:
    class Own(dict[str, object]):
        def get(self, *_: object) -> object:
            raise RuntimeError("the function's own")

        __contains__ = __len__ = get  # type: ignore[assignment]

    for event in (Own(), {"headers": Own()}, {"requestContext": Own()}, {"Records": [Own()]}):
        assert of_event(event) == []
    assert of_event({"Records": [{"attributes": Own()}]}) == []
