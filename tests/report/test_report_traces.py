from collections.abc import Callable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from coldspan_report.traces import ERROR, SERVER, Span, Trace, spans_of, traces_of

MakeSpan = Callable[..., Span]


def told(trace: Trace) -> list[tuple[int, str]]:
    return [(row.depth, row.span.name) for row in trace.rows]


def test_a_span_says_what_its_export_said() -> None:
    request = ExportTraceServiceRequest()
    exported = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(
            trace_id=bytes(16), span_id=bytes(8), name="fn", kind=SERVER, start_time_unix_nano=5, end_time_unix_nano=9
        )
    )
    exported.status.code = ERROR
    exported.attributes.add(key="faas.coldstart").value.bool_value = True
    exported.attributes.add(key="names").value.array_value.values.add(string_value="a")
    exported.attributes.add(key="pairs").value.kvlist_value.values.add(key="k").value.int_value = 3
    exported.attributes.add(key="nothing")
    attributes = {"faas.coldstart": True, "names": ["a"], "pairs": {"k": 3}, "nothing": None}
    assert spans_of(request) == [Span("0" * 32, "0" * 16, "", "fn", SERVER, 5, 9, ERROR, attributes)]


def test_spans_of_one_trace_come_together_from_several_exports(span: MakeSpan, server: MakeSpan) -> None:
    first = [server("fn", 0, 10), span("handler", 2, 9, parent="fn")]
    other = [server("other", 20, 30, trace=2)]
    later = [span("after response", 10, 15, parent="fn")]
    traces = traces_of([*first, *other, *later])
    assert [told(trace) for trace in traces] == [
        [(0, "fn"), (1, "handler"), (1, "after response")],
        [(0, "other")],
    ]


def test_traces_are_in_order_of_their_start(server: MakeSpan) -> None:
    traces = traces_of([server("late", 50, 60, trace=1), server("early", 0, 10, trace=2)])
    assert [trace.root.name for trace in traces] == ["early", "late"]


def test_a_tree_has_parents_before_children_and_siblings_by_start(span: MakeSpan, server: MakeSpan) -> None:
    spans = [
        span("handler", 60, 90, parent="fn"),
        span("load handler", 20, 50, parent="init"),
        span("init", 0, 50, parent="fn"),
        span("extension init", 1, 20, parent="init"),
        server("fn", 0, 100),
    ]
    (trace,) = traces_of(spans)
    assert told(trace) == [(0, "fn"), (1, "init"), (2, "extension init"), (2, "load handler"), (1, "handler")]


def test_a_span_that_was_delivered_twice_is_one_span(server: MakeSpan) -> None:
    (trace,) = traces_of([server("fn", 0, 10), server("fn", 0, 10)])
    assert told(trace) == [(0, "fn")]


def test_a_span_whose_parent_is_elsewhere_is_a_root(span: MakeSpan, server: MakeSpan) -> None:
    (trace,) = traces_of([server("fn", 0, 10, parent="caller"), span("lost", 3, 4, parent="dropped")])
    assert told(trace) == [(0, "fn"), (0, "lost")]
    assert trace.root.name == "fn"


def test_requests_that_share_their_callers_trace_are_traces_of_their_own(span: MakeSpan, server: MakeSpan) -> None:
    spans = [server("cold", 0, 10, parent="caller"), server("warm", 20, 30, parent="caller")]
    traces = traces_of([*spans, span("handler", 22, 25, parent="warm")])
    assert [told(trace) for trace in traces] == [[(0, "cold")], [(0, "warm"), (1, "handler")]]
    assert traces[0].trace_id == traces[1].trace_id


def test_spans_that_are_their_own_ancestors_are_shown_once(span: MakeSpan) -> None:
    (trace,) = traces_of([span("a", 0, 1, parent="b"), span("b", 0, 1, parent="a"), span("c", 0, 1, parent="c")])
    assert sorted(name for _, name in told(trace)) == ["a", "b", "c"]


def test_the_time_of_a_trace_covers_what_ends_after_its_server_span(span: MakeSpan, server: MakeSpan) -> None:
    (trace,) = traces_of([server("fn", 0, 10), span("after response", 10, 40, parent="fn")])
    assert trace.end_time_unix_nano - trace.start_time_unix_nano == 40_000_000
