"""Faults in calls that read or change files, selected by number."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

CallKind = Literal["change", "removal", "read"]

_CALLS: tuple[tuple[Any, str, CallKind], ...] = (
    (os, "fsync", "change"),
    (Path, "mkdir", "change"),
    (Path, "hardlink_to", "change"),
    (Path, "replace", "change"),
    (Path, "rename", "change"),
    (Path, "unlink", "removal"),
    (shutil, "rmtree", "removal"),
    (os, "scandir", "read"),
)


class KilledError(Exception):
    """The process is dead: nothing reaches the disk after it, not even cleanup."""


class Faults:
    """Counter of calls of some kinds; it makes one fail, or that one and all after it.

    A write that fails has written the first half of its bytes.

    Args:
        patch: replaces the calls.
        kinds: which to count; opening a file and writing to it are `change`, unless it is read.
    """

    def __init__(self, patch: pytest.MonkeyPatch, *kinds: CallKind) -> None:
        self._kinds = kinds
        self._fail: Callable[[], object] = lambda: None
        self._at: int | None = None
        self._once = False
        self._counting = False
        self.calls = 0
        for owner, name, kind in _CALLS:
            patch.setattr(owner, name, self._wrap(getattr(owner, name), kind))
        patch.setattr(Path, "open", self._wrap_open(Path.open))
        patch.setattr(os, "open", self._wrap_descriptor(os.open))

    @contextmanager
    def at(
        self, number: int | None, fail: Callable[[], object], *, once: bool = False
    ) -> Iterator[None]:
        """Call `fail`, which raises or ends the process, at this call; at no call if it is None."""
        self.calls, self._at, self._fail, self._once = 0, number, fail, once
        self._counting = True
        try:
            yield
        finally:
            self._counting = False

    def count(self, kind: CallKind) -> None:
        """Count a call that is about to be made; make it fail if it is the selected one."""
        if not self._counting or kind not in self._kinds:
            return
        self.calls += 1
        if self._at is not None and (
            self.calls == self._at or (self.calls > self._at and not self._once)
        ):
            self._fail()

    def _wrap(self, real: Callable[..., Any], kind: CallKind) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            self.count(kind)
            return real(*given, **named)

        return call

    def _wrap_descriptor(self, real: Callable[..., int]) -> Callable[..., int]:
        def call(path: str | bytes | Path, flags: int, *given: Any, **named: Any) -> int:
            # A folder is opened without O_DIRECTORY only to lock it, or to make its names durable.
            is_folder = not flags & os.O_DIRECTORY and os.path.isdir(path)  # noqa: PTH112
            is_read = flags & os.O_ACCMODE == os.O_RDONLY and not is_folder
            self.count("read" if is_read else "change")
            return real(path, flags, *given, **named)

        return call

    def _wrap_open(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Path, mode: str = "r", buffering: int = -1, **named: Any) -> Any:
            if mode not in {"xb", "wb"}:
                if mode == "rb":
                    self.count("read")
                return real(path, mode, buffering, **named)
            self.count("change")
            raw = _Raw(real(path, mode, 0), self)
            return io.BufferedWriter(raw, buffering if buffering > 0 else 8192)

        return call


class _Raw(io.RawIOBase):
    """An unbuffered file whose writes are counted."""

    def __init__(self, file: Any, faults: Faults) -> None:
        self._file = file
        self._faults = faults

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._file.fileno())

    def write(self, data: Any, /) -> int:
        half = len(data) // 2
        written = int(self._file.write(data[:half])) if half else 0
        self._faults.count("change")
        return written + int(self._file.write(data[written:]))

    def close(self) -> None:
        self._file.close()
        super().close()
