"""Faults in every call by which a conversion changes the file system: one by one, by number."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_WRITES = ((os, "fsync"), (Path, "mkdir"), (Path, "open"), (Path, "hardlink_to"), (Path, "replace"))
_REMOVALS = ((Path, "unlink"), (shutil, "rmtree"))


class KilledError(Exception):
    """The process is dead: from here on nothing reaches the disk, cleaning up neither."""


class Faults:
    """Counts calls, and from call number `at` on makes every one raise."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception], *, removals: bool
    ) -> None:
        self._error = error
        self._at: int | None = None
        self._counting = False
        self.calls = 0
        for owner, name in _WRITES + (_REMOVALS if removals else ()):
            monkeypatch.setattr(owner, name, self._wrap(getattr(owner, name), name))

    @contextmanager
    def at(self, number: int | None) -> Iterator[None]:
        """Fail from this call on, none where it is None."""
        self.calls, self._at, self._counting = 0, number, True
        try:
            yield
        finally:
            self._counting = False

    def _wrap(self, real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if self._counting and (name != "open" or given[1:] == ("xb",)):
                self.calls += 1
                if self._at is not None and self.calls >= self._at:
                    raise self._error()
            return real(*given, **named)

        return call
