"""Settings: the standard variables mean what the specification says, and a bad value costs that setting alone."""

import pytest

from coldspan_extension import config, urls
from coldspan_extension.config import Config, parse


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/base/"}, "http://c:4318/base/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318"}, "http://c:4318"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/in", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"},
         "http://c/in"),
        ({"COLDSPAN_ENDPOINT": "https://mine", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/in"},
         "https://mine/v1/traces"),
    ],
)  # fmt: skip
def test_the_url_that_traces_go_to(environ: dict[str, str], url: str) -> None:
    assert str(parse(environ).traces_url) == url


def test_nothing_set_is_no_endpoint_and_no_complaint() -> None:
    settings = parse({})
    assert (settings.endpoint, settings.invalid) == (None, [])


def test_an_empty_value_counts_as_unset() -> None:
    settings = parse(dict.fromkeys(("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "COLDSPAN_FLUSH"), ""))
    assert (settings.endpoint, settings.sampler, settings.invalid) == (None, "parentbased_always_on", [])


BAD = [
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "endpoint", None),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:99999", "endpoint", None),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "protocol", "http/protobuf"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "timeout_s", 10.0),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "²", "timeout_s", 10.0),  # a digit, but no number
    ("OTEL_EXPORTER_OTLP_INSECURE", "yes", "insecure", False),
    ("OTEL_SDK_DISABLED", "1", "exporter", "otlp"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli", "compression", "none"),
    ("OTEL_TRACES_EXPORTER", "zipkin", "exporter", "otlp"),
    ("OTEL_TRACES_SAMPLER", "jaeger_remote", "sampler", "parentbased_always_on"),
    ("COLDSPAN_FLUSH", "never", "flush", "adaptive"),
    ("COLDSPAN_EXPORTER", "rust", "lane", "auto"),
    ("COLDSPAN_PROACTIVE_AFTER", "1s", "proactive_after_ms", 1_000),
    ("COLDSPAN_PROACTIVE_AFTER", "0", "proactive_after_ms", 1_000),
    ("OTEL_LOG_LEVEL", "loud", "log_level", "info"),
]


@pytest.mark.parametrize(("variable", "value", "field", "default"), BAD)
def test_a_bad_value_costs_that_setting_with_one_warning_that_names_it(
    variable: str, value: str, field: str, default: object
) -> None:
    settings = parse({variable: value, "OTEL_SERVICE_NAME": "kept"})
    assert getattr(settings, field) == default
    (invalid,) = settings.invalid
    assert (invalid.variable, invalid.value) == (variable, value)
    assert invalid.accepted
    assert settings.service_name == "kept"


def test_a_bad_ratio_is_the_default_ratio() -> None:
    settings = parse({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "50%"})
    assert settings.sampler_ratio == 1.0
    assert [invalid.variable for invalid in settings.invalid] == ["OTEL_TRACES_SAMPLER_ARG"]


def test_timeouts_are_milliseconds_as_specified_and_traces_come_before_all() -> None:
    assert parse({"OTEL_EXPORTER_OTLP_TIMEOUT": "2500"}).timeout_s == 2.5
    both = {"OTEL_EXPORTER_OTLP_TIMEOUT": "2500", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "100"}
    assert parse(both).timeout_s == 0.1


def test_headers_are_percent_decoded_and_a_bad_pair_keeps_its_secret() -> None:
    settings = parse({"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic%20abc, x = 1 ,verysecret"})
    assert settings.headers == {"Authorization": "Basic abc", "x": "1"}
    (invalid,) = settings.invalid
    assert "verysecret" not in invalid.value


def test_an_endpoint_that_is_no_url_keeps_its_secret() -> None:
    (invalid,) = parse({"COLDSPAN_ENDPOINT": "https://me:verysecret@collector:99999"}).invalid
    assert invalid.value == "<21 characters>@collector:99999"


def test_headers_that_http_cannot_carry_are_refused_and_keep_their_secret() -> None:
    settings = parse({"OTEL_EXPORTER_OTLP_HEADERS": "x=1,key=a%0d%0aHost:evil,a%20b=2,euro=%E2%82%AC"})
    assert settings.headers == {"x": "1"}
    assert [invalid.value for invalid in settings.invalid] == [
        "'key'=<12 characters>",
        "'a b'=<1 characters>",
        "'euro'=<1 characters>",
    ]


HTTPS = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c"}


@pytest.mark.parametrize(
    ("environ", "needs"),
    [
        (HTTPS, ""),
        ({"HTTPS_PROXY": "http://proxy:3128"}, ""),
        ({**HTTPS, "HTTPS_PROXY": "http://proxy:3128"}, "a proxy, HTTPS_PROXY"),
        ({**HTTPS, "https_proxy": "http://proxy:3128", "NO_PROXY": "c"}, "a proxy, https_proxy"),
        ({**HTTPS, "HTTP_PROXY": "http://proxy:3128"}, ""),
        ({**HTTPS, "ALL_PROXY": "socks5://proxy"}, "a proxy, ALL_PROXY"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "http_proxy": "http://proxy"}, "a proxy, http_proxy"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://me:secret@c"}, "a user in the endpoint's URL"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://bücher.example"}, "an endpoint that is not ASCII"),
        ({**HTTPS, "REQUESTS_CA_BUNDLE": "/ca.pem"}, "REQUESTS_CA_BUNDLE"),
        ({**HTTPS, "REQUESTS_CA_BUNDLE": "/ca.pem", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/mine.pem"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "CURL_CA_BUNDLE": "/ca.pem"}, ""),
    ],
)
def test_what_of_the_network_only_requests_can_do(environ: dict[str, str], needs: str) -> None:
    assert parse(environ).needs_requests == needs


@pytest.mark.parametrize(
    ("endpoint", "own"),
    [
        ("http://localhost:24318", True),
        ("http://sandbox.localdomain:24318/x", True),
        ("http://127.0.0.1:4318", False),
        ("http://collector:24318", False),
        ("https://[::1]:24318", True),
    ],
)
def test_our_own_listener_is_recognised_as_endpoint(endpoint: str, own: bool) -> None:
    assert config.is_own_listener(urls.parse(endpoint), 24318) is own


def test_parse_never_raises_whatever_the_values_are() -> None:
    names = [variable for variable, *_ in BAD]
    for value in ("\0", "=", "%", ",,,", "http://[", "é" * 1000, "-1", "nan"):
        assert isinstance(parse(dict.fromkeys(names, value)), Config)
