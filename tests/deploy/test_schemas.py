"""Validation of the files in deploy/ by Kubernetes' and Flink's schemas."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import DEPLOY
from tests.deploy.test_files import CRON_JOBS, TRAINING_JOB

pytestmark = pytest.mark.slow
_CHECK = """
import json, sys, jsonschema
schema, instance = json.load(sys.stdin)
for error in jsonschema.Draft202012Validator(schema).iter_errors(instance):
    print(error.json_path, error.message[:200])
"""
_CRD = "META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"


def validate(environment: Path, file: Path) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [environment / "bin" / "kubernetes-validate", "--strict", file]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", [*CRON_JOBS, TRAINING_JOB])
def test_job_manifest_matches_kubernetes_schema(
    environment: Path, tmp_path: Path, name: str
) -> None:
    assert validate(environment, DEPLOY / name).returncode == 0
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((DEPLOY / name).read_text().replace("backoffLimit", "backofLimit"))
    assert validate(environment, wrong).returncode != 0
    text = (DEPLOY / name).read_text()
    if "policyTypes" in text:
        wrong.write_text(text.replace("policyTypes", "policyType"))
        assert validate(environment, wrong).returncode != 0


def refuse_unknown(schema: Any) -> None:
    """Make a schema reject unknown fields, as the server does for strict clients."""
    if isinstance(schema, list):
        for part in schema:
            refuse_unknown(part)
    elif isinstance(schema, dict):
        if "properties" in schema and "x-kubernetes-preserve-unknown-fields" not in schema:
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            refuse_unknown(part)


def find_faults(environment: Path, schema: Any, instance: Any) -> str:
    command: list[str | Path] = [environment / "bin" / "python", "-c", _CHECK]
    text = json.dumps([schema, instance])
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def test_flink_deployment_manifest_matches_operator_schema(environment: Path) -> None:
    jars = list(environment.glob("flink-kubernetes-operator-api-*.jar"))
    if not jars:
        pytest.skip("needs Flink's operator API; `make deploy-test` fetches it")
    with zipfile.ZipFile(jars[0]) as jar:
        versions = yaml.safe_load(jar.read(_CRD))["spec"]["versions"]
    (schema,) = (each["schema"]["openAPIV3Schema"] for each in versions if each["storage"])
    refuse_unknown(schema["properties"]["spec"])
    deployment = yaml.safe_load((DEPLOY / "flink/cluster.yaml").read_text())
    assert find_faults(environment, schema, deployment) == ""
    deployment["spec"]["taskManager"]["replica"] = 2
    assert "'replica' was unexpected" in find_faults(environment, schema, deployment)
