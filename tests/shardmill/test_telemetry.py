"""OpenTelemetry: the trace and the metrics of runs, as a real OTLP receiver reads them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

import shardmill.cli
from records.errors import InputNotFoundError, StorageError
from records.runtime.extras import install_command
from records.runtime.telemetry import Metric, end_record, record_metrics, span, start_record
from shardmill import telemetry
from shardmill.telemetry import export_telemetry, start_telemetry
from tests.pipelines.pictures import make_file, make_folders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
SECRET = "s3cret"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONVERSION = ["list", "plan", "prepare", "write", "collect", "publish"]
METRICS = [Metric("images", "Images.", "{image}", 3, {"output": "data"})]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("OTEL_", "TRACE")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "*")


class Collector:
    """A receiver of OTLP over HTTP, with the requests that it has received."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.bodies: dict[str, list[bytes]] = {"/v1/traces": [], "/v1/metrics": []}

    def spans(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the attributes of the resource, and the spans by name."""
        service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
        (body,) = self.bodies["/v1/traces"]
        (found,) = service.ExportTraceServiceRequest.FromString(body).resource_spans
        (scope,) = found.scope_spans
        assert scope.scope.name == "shardmill"
        return attributes_of(found.resource), {span.name: span for span in scope.spans}

    def metrics(self) -> dict[tuple[str, str | None], tuple[float, str, str]]:
        """Return the value, the description and the output of metrics, by name and split."""
        service = pytest.importorskip(
            "opentelemetry.proto.collector.metrics.v1.metrics_service_pb2"
        )
        (body,) = self.bodies["/v1/metrics"]
        (found,) = service.ExportMetricsServiceRequest.FromString(body).resource_metrics
        values = {}
        for metric in found.scope_metrics[0].metrics:
            assert metric.unit
            for point in metric.gauge.data_points:
                labels = attributes_of(point)
                value = getattr(point, str(point.WhichOneof("value")))
                place = metric.name, labels.get("split")
                values[place] = value, metric.description, labels["output"]
        return values


def attributes_of(message: Any) -> dict[str, Any]:
    """Return the attributes of a message as a dictionary."""
    return {
        it.key: getattr(it.value, str(it.value.WhichOneof("value"))) for it in message.attributes
    }


@pytest.fixture
def collector(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Collector]:
    """A collector to which the environment points; its parameter is the status it answers."""
    pytest.importorskip("opentelemetry.exporter.otlp", reason="needs shardmill[otel]")
    collector = Collector(getattr(request, "param", 200))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            collector.bodies[self.path].append(self.rfile.read(size))
            self.send_response(collector.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{server.server_port}")
    yield collector
    server.shutdown()
    thread.join()
    server.server_close()


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command in its own process."""
    command = [sys.executable, "-m", "shardmill", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_conversion_is_exported_with_its_parts_and_the_metrics_of_its_file(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-{PARENT}-01")
    monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "process")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=vision")
    make_folders(tmp_path / "photos", cat=6, dog=4)
    make_file(tmp_path / "photos", "cat/bad.jpg", b"no image")
    output, file = f"memory://user:{SECRET}@host/data?token={SECRET}", tmp_path / "m.prom"
    ended = run("convert", tmp_path / "photos", output, "--test", 0.3, "--metrics", file)
    assert (ended.returncode, ended.stderr.count("note:")) == (0, 0), ended.stderr
    resource, spans = collector.spans()
    assert resource.items() >= {"service.name": "shardmill", "team": "vision"}.items()
    root = spans.pop("shardmill convert")
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, PARENT)
    expected = {"process.exit.code": 0, "shardmill.command": "convert", "shardmill.stored": 10}
    assert attributes_of(root).items() >= expected.items()
    assert [*spans] == CONVERSION
    ends = [root.start_time_unix_nano]
    for part in spans.values():
        assert (part.trace_id, part.parent_span_id) == (root.trace_id, root.span_id)
        ends += [part.start_time_unix_nano, part.end_time_unix_nano]
    assert [*ends, root.end_time_unix_nano] == sorted([*ends, root.end_time_unix_nano])
    metrics = collector.metrics()
    for family in text_string_to_metric_families(file.read_text()):
        for sample in family.samples:
            name = sample.name.replace("shardmill_", "shardmill.", 1)
            value, text, url = metrics.pop((name, sample.labels.get("split")))
            assert value == pytest.approx(sample.value), name
            assert (text, url) == (family.documentation, sample.labels["output"])
    assert not metrics
    for body in [*collector.bodies["/v1/traces"], *collector.bodies["/v1/metrics"]]:
        assert SECRET.encode() not in body


def test_failed_run_is_exported_as_an_error_without_metrics(collector: Collector) -> None:
    start_telemetry("convert")
    with suppress(InputNotFoundError), span("list"):
        raise InputNotFoundError("no images found", path=f"photos-{SECRET}")
    export_telemetry(66)
    _, spans = collector.spans()
    for name in ("shardmill convert", "list"):
        assert spans[name].status.code == spans[name].status.STATUS_CODE_ERROR
    attributes = attributes_of(spans["shardmill convert"])
    assert (attributes["process.exit.code"], attributes["error.type"]) == (66, "66")
    assert not collector.bodies["/v1/metrics"]
    assert SECRET.encode() not in collector.bodies["/v1/traces"][0]


def export() -> None:
    """Export a run with a metric in this process."""
    start_telemetry("convert")
    record_metrics(lambda: METRICS)
    export_telemetry(0)


def read_note(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the only line of the log, a note."""
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("shardmill: note: ")
    return line.removeprefix("shardmill: note: ")


@pytest.mark.parametrize("collector", [401, 404], indirect=True)
def test_refused_export_is_a_note_with_the_status(
    collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    export()
    line = read_note(capsys)
    assert line.startswith("traces and metrics are not exported: the collector answered with the")
    assert line.endswith(f"status {collector.status}")


@pytest.mark.parametrize("kind", ["closed port", "silent server"])
def test_collector_that_does_not_answer_is_a_note_after_a_limited_time(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp", reason="needs shardmill[otel]")
    monkeypatch.setattr(telemetry, "EXPORT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if kind == "closed port":
            server.close()
        monkeypatch.setenv(ENDPOINT, f"http://user:{SECRET}@127.0.0.1:{port}?token={SECRET}")
        export()
    line = read_note(capsys)
    assert line.startswith("traces and metrics are not exported: the collector does not answer")
    assert SECRET not in line


def test_protocol_that_is_not_supported_is_a_note(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    export()
    assert read_note(capsys).endswith("must be http/protobuf, got grpc")
    assert not any(collector.bodies.values())


def test_metrics_that_cannot_be_read_are_a_note(
    collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    def read_metrics() -> list[Metric]:
        raise StorageError("storage failed after retries")

    start_telemetry("convert")
    record_metrics(read_metrics)
    export_telemetry(0)
    assert read_note(capsys) == "metrics are not exported: StorageError during the export"
    assert len(collector.bodies["/v1/traces"]) == 1


def test_missing_package_is_a_note_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [it for it in sys.modules if it.partition(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:1")
    export()
    line = read_note(capsys)
    assert line.startswith("traces and metrics are not exported: opentelemetry is not installed")
    assert line.endswith(install_command("otel"))


@pytest.mark.parametrize(
    ("variables", "is_configured"),
    [
        ({}, False),
        ({ENDPOINT: ""}, False),
        ({ENDPOINT: "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318/v1/metrics"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({ENDPOINT: "http://c:4318", "OTEL_SDK_DISABLED": "True"}, False),
        ({ENDPOINT: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, True),
        (
            {
                ENDPOINT: "http://c:4318",
                "OTEL_TRACES_EXPORTER": "none",
                "OTEL_METRICS_EXPORTER": "console",
            },
            False,
        ),
        ({"OTEL_SERVICE_NAME": "photos"}, False),
    ],
)
def test_run_is_recorded_only_if_the_environment_configures_an_export(
    variables: dict[str, str], is_configured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    start_telemetry("convert")
    assert (end_record() is not None) == is_configured


@pytest.mark.parametrize("signal", ["traces", "metrics"])
def test_signal_whose_exporter_is_none_is_not_exported(
    collector: Collector, signal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"OTEL_{signal.upper()}_EXPORTER", "none")
    export()
    assert {name: len(bodies) for name, bodies in collector.bodies.items()} == {
        "/v1/traces": int(signal != "traces"),
        "/v1/metrics": int(signal != "metrics"),
    }


def test_trace_that_the_parent_does_not_sample_is_not_exported(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-{PARENT}-00")
    export()
    assert [len(bodies) for bodies in collector.bodies.values()] == [0, 1]


def test_commands_note_their_parts_and_metrics(tmp_path: Path) -> None:
    photos, data = make_folders(tmp_path / "photos", cat=4, dog=4), str(tmp_path / "data")
    edit = ["plan", "prepare", "write", "collect", "publish"]
    calls = {
        ("convert", str(photos), data): CONVERSION,
        ("convert", str(photos), data, "--append"): ["list", "plan"],
        ("remove", data, "--where", "class == 'cat' and key > 'cat/003'"): edit,
        ("compact", data, str(tmp_path / "compacted")): CONVERSION,
        ("compact", data, "--in-place"): ["list", "plan"],  # nothing to do
        ("repair", data, str(photos)): ["check"],
        ("log", data): [],
    }
    for arguments, expected in calls.items():
        start_record(arguments[0])
        result = CliRunner().invoke(shardmill.cli.shardmill, arguments)
        assert result.exit_code == 0, result.exception
        record = end_record()
        assert record is not None
        assert [it.name for it in record.spans] == expected, arguments
        assert not any(it.has_failed for it in record.spans)
        metrics = {it.name: it.value for it in record.metrics() if "split" not in it.labels}
        assert bool(metrics) == (arguments[0] not in {"repair", "log"})
        if arguments[0] == "remove":
            assert metrics.items() >= {"generation": 2, "removed_images": 1}.items()


def test_part_that_raises_has_failed_and_is_noted_only_during_a_record() -> None:
    def fail() -> None:
        with span("list"):
            raise InputNotFoundError("no images found")

    start_record("convert")
    with pytest.raises(InputNotFoundError):
        fail()
    record = end_record()
    assert record is not None
    assert [(it.name, it.has_failed) for it in record.spans] == [("list", True)]
    with span("plan"):
        assert end_record() is None
    assert len(record.spans) == 1
