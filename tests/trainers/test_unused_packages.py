"""Packages that commands hide while TensorFlow and Keras load."""

from __future__ import annotations

import importlib
import sys

import pytest

from trainers.cli import output


@pytest.mark.parametrize("name", output.UNUSED_PACKAGES)
def test_unused_package_cannot_be_imported_while_the_backend_starts(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.delitem(sys.modules, name, raising=False)
    with output.unused_packages_hidden(), pytest.raises(ImportError):
        importlib.import_module(name)
    assert name not in sys.modules


def test_backend_of_keras_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    with output.unused_packages_hidden():
        assert "jax" not in sys.modules


def test_loaded_package_stays_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = object()
    monkeypatch.setitem(sys.modules, "jax", loaded)
    with output.unused_packages_hidden():
        assert sys.modules["jax"] is loaded
    assert sys.modules["jax"] is loaded
