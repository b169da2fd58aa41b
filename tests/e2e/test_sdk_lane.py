"""What a layer keeps of OpenTelemetry's SDK and what it stands on is enough for every way out that it is kept for."""

import ssl
from pathlib import Path

import pytest

from coldspan_testing import certificates
from coldspan_testing.otlp_receiver import OtlpReceiver, Refuse
from coldspan_testing.runs import Run, StartRun


def served(start_run: StartRun, **environment: object) -> Run:
    run = start_run(COLDSPAN_EXPORTER="sdk", **environment)
    run.lab.invoke(1)
    run.lab.wait_frozen()
    run.close()
    assert run.logged("export_failed") == []
    return run


@pytest.mark.parametrize(
    ("environment", "header"),
    [
        ({}, ("content-type", "application/x-protobuf")),
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}, ("content-encoding", "gzip")),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20abc"}, ("authorization", "Basic abc")),
        ({"OTEL_PYTHON_METER_PROVIDER": "sdk_meter_provider"}, ("content-type", "application/x-protobuf")),
    ],
)
def test_traces_go_out_over_http(start_run: StartRun, environment: dict[str, str], header: tuple[str, str]) -> None:
    run = served(start_run, **environment)
    assert len(run.servers) == 1
    assert {request.headers.get(header[0]) for request in run.receiver.requests} == {header[1]}


@pytest.mark.parametrize("host", ["collector.invalid", "bücher.invalid"])
def test_traces_go_out_through_a_proxy(start_run: StartRun, host: str) -> None:
    with OtlpReceiver() as proxy:
        served(start_run, endpoint="", COLDSPAN_ENDPOINT=f"http://{host}:4318", HTTP_PROXY=proxy.endpoint_http)
    asked_for = {request.headers["host"] for request in proxy.requests}
    assert asked_for == {f"{host.encode('idna').decode()}:4318"}


def test_traces_go_out_over_https_with_an_authority_and_a_certificate_of_the_users(
    start_run: StartRun, tmp_path: Path
) -> None:
    authority = certificates.authority(tmp_path)
    tls = certificates.server_context(tmp_path, "IP:127.0.0.1")
    tls.load_verify_locations(authority)
    tls.verify_mode = ssl.CERT_REQUIRED
    certificate, key = certificates.issue(tmp_path, "client")
    run = served(
        start_run,
        tls=tls,
        OTEL_EXPORTER_OTLP_CERTIFICATE=str(authority),
        OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=str(certificate),
        OTEL_EXPORTER_OTLP_CLIENT_KEY=str(key),
    )
    assert len(run.servers) == 1


def test_a_server_of_an_unknown_authority_gets_nothing_and_is_named(start_run: StartRun, tmp_path: Path) -> None:
    certificates.authority(tmp_path)
    run = start_run(tls=certificates.server_context(tmp_path, "IP:127.0.0.1"), COLDSPAN_EXPORTER="sdk")
    assert run.lab.invoke(1).payload == b"1"
    run.lab.wait_frozen()
    run.close()
    assert run.receiver.requests == []
    assert len(run.logged("export_failed")) == 1


def test_a_refusal_whose_answer_names_no_charset_is_read(start_run: StartRun) -> None:
    run = start_run(answers=(Refuse(400),), COLDSPAN_EXPORTER="sdk")
    run.lab.invoke(1)
    run.lab.wait_frozen()
    run.close()
    (failed,) = run.logged("export_failed")
    assert failed["reason"] == "HTTP 400 refused"
