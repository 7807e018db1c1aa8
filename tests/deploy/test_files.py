"""Commands and exit codes in the files of deploy/."""

from __future__ import annotations

import ast
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import shardmill.cli
from pipelines.options import ConvertOptions
from records.errors import ShardmillError
from records.runtime.logging import set_log_format
from tests.deploy.conftest import DEPLOY

CRON_JOBS = ["kubernetes/cronjob.yaml", "flink/nightly.yaml"]
TRAINING_JOB = "kubernetes/train.yaml"
DAG = DEPLOY / "airflow/shardmill_nightly.py"
RETRYABLE_ERRORS = {69, 74, 75}
UNITS = ("shardmill-nightly.service", "shardmill-nightly.timer")


def read_job(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text())["spec"]
    job: dict[str, Any] = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
    return job


def read_service() -> dict[str, str]:
    parser = ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / "systemd" / UNITS[0])
    return dict(parser["Service"])


def read_constants() -> dict[str, Any]:
    """Return the DAG's constants, read without Airflow."""
    assigned = (node for node in ast.parse(DAG.read_text()).body if isinstance(node, ast.Assign))
    return {ast.unparse(node.targets[0]): ast.literal_eval(node.value) for node in assigned}


def pod_arguments(name: str) -> list[str]:
    (container,) = read_job(name)["template"]["spec"]["containers"]
    arguments: list[str] = container["args"]
    return arguments


COMMANDS = {
    **{name: pod_arguments(name) for name in CRON_JOBS},
    "systemd": shlex.split(read_service()["ExecStart"])[1:],
    "airflow": shlex.split(read_constants()["COMMAND"])[2:],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_deploy_command_is_accepted_as_append_with_json_log(
    name: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    taken: list[ConvertOptions] = []

    def take(_: str, run: Any, *__: object) -> SimpleNamespace:
        taken.append(run.args[0])
        return SimpleNamespace(quarantined=False)

    monkeypatch.setattr("pipelines.cli.output.run_with_progress", take)
    request.addfinalizer(lambda: set_log_format("text"))
    monkeypatch.setattr(sys, "argv", ["shardmill", *COMMANDS[name]])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        shardmill.cli.main()
    assert not ended.value.code
    taken[0].validate()
    assert taken[0].append
    assert "--log-format=json" in COMMANDS[name]


def codes(kind: type[ShardmillError] = ShardmillError) -> set[int]:
    """Return the exit codes of a class of errors and its subclasses."""
    own = [each for each in kind.__subclasses__() if not each.__module__.startswith("tests.")]
    return {kind.exit_code}.union(*map(codes, own))


def test_training_job_resumes_a_run_at_a_url(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    taken: list[Any] = []

    def take(*given: Any, **named: Any) -> None:
        taken.append((*given, named))
        raise SystemExit(0)

    monkeypatch.setattr("trainers.runs.resume.find_run", lambda _: None)
    monkeypatch.setattr("trainers.training.plan.plan_training", take)
    request.addfinalizer(lambda: set_log_format("text"))
    monkeypatch.setattr(sys, "argv", ["shardmill", *pod_arguments(TRAINING_JOB)])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        shardmill.cli.main()
    assert not ended.value.code
    ((_, run, options, named),) = taken
    assert run.startswith("s3://")
    assert options.cache == "shards"
    assert named == {"resume": True}
    (claim,) = read_job(TRAINING_JOB)["template"]["spec"]["volumes"]
    assert "emptyDir" in claim


@pytest.mark.parametrize("name", [*CRON_JOBS, TRAINING_JOB])
def test_job_permanent_exit_codes_fail_and_transient_are_retried(name: str) -> None:
    job = read_job(name)
    rules = job["podFailurePolicy"]["rules"]
    by_action = {rule["action"]: rule["onExitCodes"] for rule in rules if "onExitCodes" in rule}
    chosen = {action: set(rule["values"]) for action, rule in by_action.items()}
    assert chosen == {"FailJob": codes() - RETRYABLE_ERRORS, "Count": RETRYABLE_ERRORS}
    # Kubernetes refuses the policy otherwise.
    assert job["template"]["spec"]["restartPolicy"] == "Never"


def test_systemd_and_airflow_retry_same_exit_codes_as_cron_job() -> None:
    assert set(map(int, read_service()["RestartForceExitStatus"].split())) == RETRYABLE_ERRORS
    assert read_constants()["PERMANENT_ERRORS"] == codes() - RETRYABLE_ERRORS


def test_systemd_units_pass_systemd_analyze_verify(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    for name in UNITS:
        text = (DEPLOY / "systemd" / name).read_text()
        (tmp_path / name).write_text(text.replace("/opt/shardmill/bin/shardmill", "/bin/true"))
    verify = ["systemd-analyze", "verify", *(str(tmp_path / name) for name in UNITS)]
    ended = subprocess.run(verify, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
