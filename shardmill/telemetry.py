"""Export of the trace and the metrics of a run with OpenTelemetry.

Only the environment variables of OpenTelemetry configure the export. Without them, nothing is
imported. The packages are imported after the run, because a run only notes the times of its spans.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from records.errors import UsageError
from records.runtime.logging import last_line_fields, log_line
from records.runtime.telemetry import RunRecord, end_record, start_record
from records.runtime.termination import GRACE_SECONDS, grace_period
from records.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EXPORT_SECONDS = 3.0
"""The longest time that the end of a run waits for the collector."""

_PROGRAM = "shardmill"
_SIGNALS = ("traces", "metrics")
_PROTOCOL = "http/protobuf"
_NO_ANSWER = "the collector does not answer; check OTEL_EXPORTER_OTLP_ENDPOINT"
_MODULES = (
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk.metrics.export",
    "opentelemetry.sdk.trace.export.in_memory_span_exporter",
)


def start_telemetry(command: str) -> None:
    """Note the spans and metrics of a command from now on, if their export is configured."""
    if any(map(_is_exported, _SIGNALS)):
        start_record(command)


def export_telemetry(exit_code: int) -> None:
    """Export the run of this process, which has ended, if its export is configured.

    A failure is a note in the log. A signal ends the wait for the collector.

    Args:
        exit_code: the exit code of the command.
    """
    run = end_record()
    if run is None:
        return
    with suppress(KeyboardInterrupt, SystemExit), grace_period(GRACE_SECONDS + EXPORT_SECONDS):
        problems = _export_all(run, exit_code)
        for problem in dict.fromkeys(filter(None, problems.values())):
            signals = " and ".join(it for it in problems if problems[it] == problem)
            log_line(f"{signals} are not exported: {problem}", level=logging.WARNING)


def _is_exported(signal: str) -> bool:
    """Return whether the environment configures the export of `traces` or of `metrics`."""
    if _variable("SDK_DISABLED").lower() == "true":
        return False
    exporters = _variable(f"{signal}_EXPORTER")
    if exporters:
        return "otlp" in map(str.strip, exporters.split(","))
    return bool(_otlp_variable(signal, "ENDPOINT"))


def _variable(name: str) -> str:
    return os.environ.get(f"OTEL_{name.upper()}", "").strip()


def _otlp_variable(signal: str, name: str) -> str:
    """Return the value of a variable of the exporter: that of one signal, or that of all."""
    return _variable(f"EXPORTER_OTLP_{signal}_{name}") or _variable(f"EXPORTER_OTLP_{name}")


def _export_all(run: RunRecord, exit_code: int) -> dict[str, str]:
    """Export all signals at the same time; return the problem of each, empty for none."""
    from records.runtime.extras import require_extra

    ended_ns = time.time_ns()
    problems = {signal: _NO_ANSWER for signal in _SIGNALS if _is_exported(signal)}

    def export(signal: str) -> None:
        problems[signal] = _export(signal, run, exit_code, ended_ns)

    threads = [threading.Thread(target=export, args=(it,), daemon=True) for it in problems]
    try:
        # Before the clock of the export starts: a slow file system is not a slow collector.
        for module in _MODULES:
            require_extra(module, "otel")
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)  # it may log passwords
        for thread in threads:
            thread.start()
    except UsageError as error:
        return dict.fromkeys(problems, str(error))
    except Exception as error:  # a run never fails because of its telemetry
        return dict.fromkeys(problems, f"{type(error).__name__} before the export")
    deadline = time.monotonic() + EXPORT_SECONDS
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
    return dict(problems)


def _export(signal: str, run: RunRecord, exit_code: int, ended_ns: int) -> str:
    """Export a signal; return the problem, empty for none."""
    protocol = _otlp_variable(signal, "PROTOCOL")
    if protocol not in {"", _PROTOCOL}:
        return f"OTEL_EXPORTER_OTLP_PROTOCOL must be {_PROTOCOL}, got {protocol}"
    statuses: list[int] = []
    try:
        import requests

        session = requests.Session()
        session.hooks["response"].append(lambda answer, **_: statuses.append(answer.status_code))
        if signal == "traces":
            is_done = _export_trace(run, exit_code, session, ended_ns)
        else:
            is_done = _export_metrics(run, session)
    except Exception as error:
        return f"{type(error).__name__} during the export"
    if is_done:
        return ""
    return f"the collector answered with the status {statuses[-1]}" if statuses else _NO_ANSWER


def _export_trace(run: RunRecord, exit_code: int, session: Any, ended_ns: int) -> bool:
    """Export the span of a run and those of its parts; return whether the collector has them."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.trace import StatusCode, set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    spans = InMemorySpanExporter()
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    tracer = provider.get_tracer(_PROGRAM, __version__)
    root = tracer.start_span(
        f"{_PROGRAM} {run.command}",
        TraceContextTextMapPropagator().extract(_parent_context()),
        attributes=_attributes(run, exit_code),
        start_time=run.started_ns,
    )
    inside = set_span_in_context(root)
    for part in run.spans:
        span = tracer.start_span(part.name, inside, start_time=part.started_ns)
        if part.has_failed:
            span.set_status(StatusCode.ERROR)
        span.end(part.ended_ns)
    if exit_code != 0:
        root.set_status(StatusCode.ERROR)
    root.end(ended_ns)
    finished = spans.get_finished_spans()  # none if the trace is not sampled
    exporter = OTLPSpanExporter(timeout=EXPORT_SECONDS, session=session)
    return not finished or exporter.export(finished) is SpanExportResult.SUCCESS


def _export_metrics(run: RunRecord, session: Any) -> bool:
    """Export the metrics of a run, if it has any; return whether the collector has them."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], resource=_resource(), shutdown_on_exit=False)
    meter = provider.get_meter(_PROGRAM, __version__)
    gauges: dict[str, Any] = {}
    for name, text, unit, value, labels in run.metrics():
        if name not in gauges:
            gauges[name] = meter.create_gauge(f"{_PROGRAM}.{name}", unit, description=text)
        gauges[name].set(value, dict(labels))
    if not gauges:
        return True
    exporter = OTLPMetricExporter(timeout=EXPORT_SECONDS, session=session)
    return exporter.export(reader.get_metrics_data()) is MetricExportResult.SUCCESS


def _resource() -> Any:
    """Return the description of this program, which the environment may change.

    Other detectors of resources are not used: one of them would add the command line, which may
    contain a password.
    """
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.version import __version__ as sdk_version

    own = {
        "service.name": _PROGRAM,
        "service.version": __version__,
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": sdk_version,
    }
    return Resource(own).merge(OTELResourceDetector().detect())


def _parent_context() -> Mapping[str, str]:
    """Return the headers of the span that has started this process, if there is one."""
    names = ("traceparent", "tracestate")
    return {name: os.environ[name.upper()] for name in names if name.upper() in os.environ}


def _attributes(run: RunRecord, exit_code: int) -> dict[str, str | int | bool]:
    """Return the attributes of a run: those of a command line program, and its result."""
    return {
        "process.executable.name": _PROGRAM,
        "process.pid": os.getpid(),
        "process.exit.code": exit_code,
        **({"error.type": str(exit_code)} if exit_code else {}),
        f"{_PROGRAM}.command": run.command,
        **dict(_result()),
    }


def _result() -> Iterator[tuple[str, str | int | bool]]:
    """Yield the fields of the last line of the log, which contain no credentials."""
    for name, value in last_line_fields().items():
        if isinstance(value, str | int | bool):
            yield f"{_PROGRAM}.{name}", value
