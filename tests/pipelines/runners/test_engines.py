"""Checks of engine flags before a run; no engine is started."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pipelines.runners import check_runner
from pipelines.runners.beam import parse_flags
from pipelines.runners.prism import serve_prism
from records.errors import RunnerError, UsageError
from records.runtime.shard_worker import RunnerConfig

ENDPOINT = "--job_endpoint=localhost:8099"
DATAFLOW = ("--project=project-1", "--region=europe-west1", "--temp_location=gs://bucket/temp")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.runners.engines.PING_SECONDS", 0.2)


@pytest.mark.parametrize("engine", ["flink", "spark"])
@pytest.mark.parametrize(
    ("flags", "missing"),
    [
        ((), "--job_endpoint"),
        ((ENDPOINT,), "--environment_type"),
        ((ENDPOINT, "--environment_type=EXTERNAL"), "--environment_config"),
    ],
)
def test_cluster_runner_missing_flag_is_refused_by_name(
    engine: str, flags: tuple[str, ...], missing: str
) -> None:
    with pytest.raises(UsageError, match=f"a Beam flag is missing: add {missing}="):
        check_runner(RunnerConfig(engine, flags), "s3://bucket/photos")


@pytest.mark.parametrize("engine", ["flink", "spark", "prism"])
def test_portable_runner_job_server_not_answering_is_refused(engine: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{listener.getsockname()[1]}"
        flags = (f"--job_endpoint={endpoint}", "--environment_type=LOOPBACK")
        with pytest.raises(RunnerError, match=f"{endpoint}: no job server answers"):
            check_runner(RunnerConfig(engine, flags))
        # A server that accepts connections and sends nothing is not a job server.
        listener.listen()
        with pytest.raises(RunnerError, match=f"{endpoint}: no job server answers"):
            check_runner(RunnerConfig(engine, flags))


def test_prism_runner_missing_binary_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no `prism` on the PATH; install it with `go install "):
        check_runner(RunnerConfig("prism"))
    missing = str(tmp_path / "prism")
    with pytest.raises(UsageError, match=f"Prism not found, got {missing}"):
        check_runner(RunnerConfig("prism", (f"--prism_location={missing}",)))
    Path(missing).write_text("#!/bin/sh\n")
    Path(missing).chmod(0o755)
    check_runner(RunnerConfig("prism"))


def test_prism_start_timeout_kills_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.runners.prism.START_SECONDS", 0.2)
    program = tmp_path / "prism"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    program.chmod(0o755)
    with pytest.raises(RunnerError, match="Prism did not start"), serve_prism(str(program)):
        pytest.fail("Prism counts as started")
    if (tmp_path / "pid").exists():
        assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "is missing: add --project="),
        (DATAFLOW[:1], "is missing: add --region="),
        (DATAFLOW[:2], "is missing: add --temp_location="),
        (DATAFLOW, "have no package to install"),
        ((*DATAFLOW, "--extra_package=shardmill.whl"), "data: Dataflow workers cannot read"),
    ],
)
def test_dataflow_runner_missing_flag_or_local_path_is_refused(
    flags: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check_runner(RunnerConfig("dataflow", flags), "gs://bucket/photos", "data")


def test_runner_check_remote_workers_with_local_folder_logs_warning(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    flags = ("--environment_type=EXTERNAL", "--environment_config=localhost:50001")
    check_runner(RunnerConfig("PortableRunner", flags), "s3://bucket/photos", str(tmp_path))
    (message,) = set(logged.messages)
    assert message.startswith(f"{tmp_path} is a local path")


def test_runner_check_flag_refused_by_beam_raises_usage_error() -> None:
    with pytest.raises(UsageError, match=r"a Beam flag is invalid, got .*external_service_address"):
        check_runner(RunnerConfig("PortableRunner", ("--environment_type=EXTERNAL",)))


NUMBERS = {name for name, default in vars(parse_flags([])[0]).items() if type(default) is int}
NUMBERS |= {"num_workers", "max_num_workers", "disk_size_gb", "number_of_worker_harness_threads"}


@pytest.mark.parametrize("value", ["-5", "many", ""])
def test_runner_check_flag_with_a_number_out_of_range_is_named(value: str) -> None:
    assert {"direct_num_workers", "sdk_worker_parallelism", "parallelism"} <= NUMBERS
    for flag in NUMBERS:
        with pytest.raises(UsageError, match=flag) as caught:
            check_runner(RunnerConfig("local", (f"--{flag}={value}",)))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "flag", ["--direct_num_workers=2", "--direct_num_workers=0", "--parallelism=-1"]
)
def test_runner_check_flag_with_a_number_in_range_is_accepted(flag: str) -> None:
    check_runner(RunnerConfig("local", (flag,)))
