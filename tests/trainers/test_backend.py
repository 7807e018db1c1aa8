"""Tests of the report of devices and unused GPUs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from records.errors import UsageError
from records.runtime.extras import install_command
from trainers.backend import Backend, check_backend, explain_unused_gpu, start_backend


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS"):
        monkeypatch.delenv(name, raising=False)


def test_explain_unused_gpu_no_gpu_returns_none() -> None:
    assert explain_unused_gpu("tensorflow", has_gpu=False) is None


@pytest.mark.parametrize(
    ("backend", "install"),
    [("tensorflow", None), ("jax", 'pip install "jax[cuda12]"')],
)
def test_explain_unused_gpu_missing_library_names_package_to_install(
    backend: str, install: str | None
) -> None:
    problem = explain_unused_gpu(backend, has_gpu=True)
    assert problem is not None
    assert (install or install_command("gpu")) in problem


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_explain_unused_gpu_cuda_visible_devices_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    problem = explain_unused_gpu("tensorflow", has_gpu=True)
    assert problem is not None
    assert f"CUDA_VISIBLE_DEVICES={hidden} hides it" in problem
    assert "pip" not in problem


def test_explain_unused_gpu_jax_platforms_names_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    problem = explain_unused_gpu("jax", has_gpu=True)
    assert problem is not None
    assert "JAX_PLATFORMS=cpu" in problem


def test_check_backend_unsupported_backend_is_refused() -> None:
    with pytest.raises(UsageError, match="expected tensorflow or jax, got 'torch'"):
        check_backend("torch")


def test_backend_str_names_version_and_devices() -> None:
    assert str(Backend("JAX", "0.9", ("H100", "H100"), 8)) == "JAX 0.9 on H100, H100"
    assert str(Backend("TensorFlow", "2.21.0", (), 2)) == "TensorFlow 2.21.0 on the CPU, 2 cores"
    assert str(Backend("TensorFlow", "2.21.0", (), 1)).endswith("the CPU, 1 core")


def test_start_backend_twice_starts_once_silently(capfd: pytest.CaptureFixture[str]) -> None:
    hardware = start_backend()
    assert re.match(r"TensorFlow \d+\.\d+", str(hardware))
    assert start_backend() is hardware
    os.write(2, b"stderr is back\n")
    assert capfd.readouterr().err == "stderr is back\n"


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", pytest.param("jax", marks=pytest.mark.slow)])
def test_start_backend_after_tensorflow_was_used_starts(backend: str) -> None:
    pytest.importorskip(backend)
    program = (
        "import tensorflow as tf; tf.constant(1) + 1; "
        "from trainers.backend import start_backend; print(start_backend().backend)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "KERAS_BACKEND": backend},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip().lower() == backend


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"image_data_format": "channels_first", "backend": "torch", "floatx": "float16"}', "ok"),
        ("rubbish", "ok"),
        ("[]", "refused"),
        ('{"floatx": "float1"}', "refused"),
        ('{"epsilon": 1}', "refused"),
    ],
)
def test_start_backend_any_keras_json_starts_with_known_settings_or_names_it(
    content: str, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "keras.json").write_text(content)
    program = (
        "from records.errors import UsageError\n"
        "from trainers.backend import start_backend\n"
        "try:\n"
        "    start_backend()\n"
        "except UsageError as error:\n"
        "    assert 'keras.json' in str(error)\n"
        "    print('refused')\n"
        "else:\n"
        "    from keras import config\n"
        "    assert config.backend() == 'tensorflow'\n"
        "    assert config.image_data_format() == 'channels_last'\n"
        "    assert (config.floatx(), config.epsilon()) == ('float32', 1e-7)\n"
        "    print('ok')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": ""},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, expected), ended.stderr


def test_start_backend_unsupported_setting_of_keras_is_refused() -> None:
    start_backend()
    keras = pytest.importorskip("keras")
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(UsageError, match=r"keras\.config\.set_image_data_format"):
            start_backend()
    finally:
        keras.config.set_image_data_format("channels_last")
