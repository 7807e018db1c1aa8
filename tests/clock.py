"""Another clock for one module."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest


def replace_time(
    monkeypatch: pytest.MonkeyPatch, module: str, **functions: Callable[..., Any]
) -> None:
    """Replace functions of `time` in one module that imports it.

    With another clock for the whole process, the event loop of a server in another thread may wait
    for hours.
    """
    monkeypatch.setattr(f"{module}.time", SimpleNamespace(**{**vars(time), **functions}))
