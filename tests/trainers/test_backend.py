"""What computes is said, and a GPU that is there and not used comes with a reason."""

from __future__ import annotations

import os
import re

import pytest

from records.errors import UsageError
from trainers.backend import Backend, _check_backend, explain_unused_gpu, start_backend


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS"):
        monkeypatch.delenv(name, raising=False)


def test_no_gpu_is_no_problem() -> None:
    assert explain_unused_gpu("tensorflow", is_gpu_there=False) is None


@pytest.mark.parametrize(
    ("backend", "install"), [("tensorflow", "shardmill[gpu]"), ("jax", "jax[cuda12]")]
)
def test_an_unusable_gpu_comes_with_what_to_install(backend: str, install: str) -> None:
    problem = explain_unused_gpu(backend, is_gpu_there=True)
    assert problem is not None
    assert f'pip install "{install}"' in problem


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_hidden_gpu_is_told_from_a_missing_library(
    monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    problem = explain_unused_gpu("tensorflow", is_gpu_there=True)
    assert problem is not None
    assert f"CUDA_VISIBLE_DEVICES={hidden} hides it" in problem
    assert "pip" not in problem


def test_a_platform_asked_of_jax_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    problem = explain_unused_gpu("jax", is_gpu_there=True)
    assert problem is not None
    assert "JAX_PLATFORMS=cpu" in problem


def test_other_backends_are_refused() -> None:
    with pytest.raises(UsageError, match="expected tensorflow or jax, got 'torch'"):
        _check_backend("torch")


def test_hardware_reads_as_a_sentence() -> None:
    assert str(Backend("JAX", "0.9", ("H100", "H100"), 8)) == "JAX 0.9 on H100, H100"
    assert str(Backend("TensorFlow", "2.21.0", (), 2)) == "TensorFlow 2.21.0 on the CPU, 2 cores"
    assert str(Backend("TensorFlow", "2.21.0", (), 1)).endswith("the CPU, 1 core")


def test_starting_is_quiet_and_happens_once(capfd: pytest.CaptureFixture[str]) -> None:
    hardware = start_backend()
    assert re.match(r"TensorFlow \d+\.\d+", str(hardware))
    assert start_backend() is hardware
    os.write(2, b"stderr is back\n")
    assert capfd.readouterr().err == "stderr is back\n"
