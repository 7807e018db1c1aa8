"""Commands and exit codes in the files of deploy/."""

from __future__ import annotations

import ast
import os
import re
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

CRON_JOBS = ["kubernetes/cronjob.yaml", "kubernetes/cronjob-s3.yaml", "flink/nightly.yaml"]
TRAINING_JOB = "kubernetes/train.yaml"
DAG = DEPLOY / "airflow/shardmill_nightly.py"
RETRYABLE_ERRORS = {69, 74, 75}
UNITS = ("shardmill-nightly.service", "shardmill-nightly.timer")


def read_kind(name: str, kind: str) -> dict[str, Any]:
    """Return the one object of a kind in a file."""
    objects = yaml.safe_load_all((DEPLOY / name).read_text())
    (found,) = (each for each in objects if each["kind"] == kind)
    return dict(found)


def read_job(name: str) -> dict[str, Any]:
    kind = "Job" if name == TRAINING_JOB else "CronJob"
    spec: dict[str, Any] = read_kind(name, kind)["spec"]
    job: dict[str, Any] = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
    return job


def read_docker_arguments() -> list[str]:
    """Return the arguments of the image in the script for `docker run`."""
    (line,) = re.findall(r'"\$image" (.*)', (DEPLOY / "docker/nightly.sh").read_text())
    return shlex.split(line)


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
    "docker": read_docker_arguments(),
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

    request_module = "trainers.cross_validation.request"
    for name in ("find_run", "find_folds"):
        monkeypatch.setattr(f"{request_module}.{name}", lambda _: None)
    monkeypatch.setattr(f"{request_module}.plan_training", take)
    monkeypatch.setattr("shardmill.source_dataset.is_source", lambda _: False)
    request.addfinalizer(lambda: set_log_format("text"))
    monkeypatch.setattr(sys, "argv", ["shardmill", *pod_arguments(TRAINING_JOB)])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        shardmill.cli.main()
    assert not ended.value.code
    ((_, run, options, named),) = taken
    assert run.startswith("s3://")
    assert options.cache == "shards"
    assert named["resume"] is True
    (claim,) = read_job(TRAINING_JOB)["template"]["spec"]["volumes"]
    assert "emptyDir" in claim


def test_training_job_requests_a_gpu_only_if_its_image_can_use_one() -> None:
    (container,) = read_job(TRAINING_JOB)["template"]["spec"]["containers"]
    packages = (DEPLOY / "images/train.lock").read_text()
    has_gpu = any("gpu" in name for name in container["resources"]["limits"])
    assert has_gpu == ("nvidia-cuda-runtime" in packages)


@pytest.mark.parametrize("name", [*CRON_JOBS, TRAINING_JOB])
def test_pod_has_no_token_of_kubernetes(name: str) -> None:
    assert read_job(name)["template"]["spec"]["automountServiceAccountToken"] is False


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


@pytest.mark.parametrize(
    ("codes_of_runs", "exit_code", "runs"),
    [
        ([0], 0, 1),
        ([74, 69, 75, 125, 0], 0, 5),
        ([74] * 7, 74, 6),
        *(([code, 0], code, 1) for code in (1, 2, 65, 66, 70, 73, 137, 143)),
    ],
)
def test_docker_script_retries_only_temporary_errors(
    tmp_path: Path, codes_of_runs: list[int], exit_code: int, runs: int
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(
        '#!/bin/sh\ncd "$(dirname "$0")"; echo "$@" >> calls\n'
        'exit $(sed -n "$(wc -l < calls)p" codes)\n'
    )
    docker.chmod(0o755)
    (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes_of_runs))
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PHOTOS": "/p", "DATA": "/d"}
    ended = subprocess.run(
        [DEPLOY / "docker/nightly.sh"],
        env={**variables, "RETRY_SECONDS": "0"},
        timeout=60,
        check=False,
    )
    calls = (tmp_path / "calls").read_text().splitlines()
    assert (ended.returncode, len(calls)) == (exit_code, runs)
    assert "--restart" not in calls[0]


@pytest.mark.parametrize(
    ("name", "ports"),
    [("kubernetes/cronjob.yaml", set()), ("kubernetes/cronjob-s3.yaml", {53, 443})],
)
def test_network_policy_selects_pods_of_job_and_opens_only_these_ports(
    name: str, ports: set[int]
) -> None:
    policy = read_kind(name, "NetworkPolicy")["spec"]
    labels = read_job(name)["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert "app.kubernetes.io/name" not in policy["podSelector"]["matchLabels"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    rules = policy.get("egress", [])
    assert {port["port"] for rule in rules for port in rule["ports"]} == ports


def test_job_in_object_store_has_credentials_of_secret_and_no_token_of_api() -> None:
    pod = read_job("kubernetes/cronjob-s3.yaml")["template"]["spec"]
    (container,) = pod["containers"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    secrets = {each["name"]: each["secret"] for each in pod["volumes"] if "secret" in each}
    assert secrets["credentials"]["secretName"] == "shardmill-s3"
    variables = {each["name"]: each["value"] for each in container["env"]}
    assert variables["AWS_SHARED_CREDENTIALS_FILE"].startswith(f"{mounted['credentials']}/")
    account = read_kind("kubernetes/cronjob-s3.yaml", "ServiceAccount")
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    assert pod["automountServiceAccountToken"] is False
    assert not any("SECRET" in name or "KEY" in name for name in variables)


def test_systemd_units_pass_systemd_analyze_verify(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    for name in UNITS:
        text = (DEPLOY / "systemd" / name).read_text()
        (tmp_path / name).write_text(text.replace("/opt/shardmill/bin/shardmill", "/bin/true"))
    verify = ["systemd-analyze", "verify", *(str(tmp_path / name) for name in UNITS)]
    ended = subprocess.run(verify, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
