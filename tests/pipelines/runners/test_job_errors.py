"""Stack traces of engines, and the line made of each."""

from __future__ import annotations

import pytest

from pipelines.runners.job_errors import parse_job_error
from records.errors import RunnerError, StorageError

FAILED = "Pipeline BeamApp-1122 failed in state FAILED: "
TRACE = "java.lang.RuntimeException: Error received from SDK harness for instruction 1: Traceback"


@pytest.mark.parametrize(
    ("log_text", "line"),
    [
        (
            (
                f"{FAILED}{TRACE} (most recent call last):\n"
                '  File "site-packages/apache_beam/internal/pickler.py", line 87, in loads\n'
                "ModuleNotFoundError: No module named 'pipelines'\n"
            ),
            "shardmill is not installed on a worker; install",
        ),
        (
            (
                f"{FAILED}{TRACE} (most recent call last):\n"
                "ModuleNotFoundError: No module named 'xxhash'\n"
            ),
            "a worker lacks a package that shardmill needs, got xxhash; install",
        ),
        (
            (
                f"{FAILED}java.net.ConnectException: java.net.ConnectException: finishConnect(..)"
                " failed: Connection refused"
            ),
            "the engine cannot reach a worker pool; start a worker pool",
        ),
        (
            (
                f"{FAILED}java.lang.RuntimeException: Traceback (most recent call last):\n"
                '  File "worker_pool_main.py", line 162, in StartWorker\n'
                "FileNotFoundError: [Errno 2] No such file or directory: 'python'\n"
            ),
            "a worker pool does not find `python`; put",
        ),
        (
            (
                f"{FAILED}org.apache.beam.vendor.grpc.v1p60p1.io.grpc.StatusRuntimeException:"
                " CANCELLED: client cancelled"
            ),
            "the connection to a worker or the job server was lost; run the same command again",
        ),
        (
            (
                f"{FAILED}org.apache.flink.runtime.JobMasterException: TaskManager with id"
                " 10.0.0.3:40249-23e54e is no longer reachable."
            ),
            "the engine lost a machine during the run; run the same command again",
        ),
        (
            (
                f"{TRACE}\nRuntimeError: Pipeline construction environment and pipeline runtime"
                " environment are not compatible. If you use a custom container image, check that"
                " the Python interpreter minor version and the Apache Beam version match the"
                " versions used at pipeline construction time. Submission environment:"
                " beam:version:sdk_base:apache/beam_python3.11_sdk:2.77.0. Runtime environment:"
                " beam:version:sdk_base:apache/beam_python3.12_sdk:2.62.0.\n"
            ),
            (
                "workers and this command have different versions of Python or Beam, expected"
                " beam:version:sdk_base:apache/beam_python3.11_sdk:2.77.0, got"
                " beam:version:sdk_base:apache/beam_python3.12_sdk:2.62.0; install"
            ),
        ),
        (
            f"{FAILED}{TRACE}\n  File 'x.py'\nValueError: a b\n\tat java.lang.Thread.run",
            "the job failed, got ValueError: a b; --verbose shows the whole log",
        ),
        ("", "the job failed, got no message; --verbose"),
    ],
)
def test_parse_job_error_known_trace_gives_one_line(log_text: str, line: str) -> None:
    error = parse_job_error(log_text)
    assert type(error) is RunnerError
    assert str(error).startswith(line)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "end", ["\n\nDuring handling", " [while running 'MapShards/ProcessShard']", ""]
)
def test_parse_job_error_shardmill_error_keeps_type_and_exit_code(end: str) -> None:
    error = parse_job_error(
        f"{FAILED}{TRACE}\nrecords.errors.StorageError: /data: it is not there{end}"
    )
    assert type(error) is StorageError
    assert str(error) == "/data: it is not there"
    assert error.exit_code == 74


def test_parse_job_error_long_text_is_truncated() -> None:
    assert len(str(parse_job_error("x" * 10_000))) < 500
