"""Progress of long work on stderr: a bar on a terminal, a line a minute in a log, or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, Self, cast

from tqdm import tqdm

from records.runtime.logging import is_terminal, log_line
from records.text.formatting import format_bytes

_SECONDS_BETWEEN_LINES = 60


class Bar(Protocol):
    """How far the work has come; `n` is how much is done."""

    n: int

    def update(self, more: int = 1) -> object:
        """So much more is done."""

    def close(self) -> None:
        """It is over."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_error: object) -> None: ...


def progress_bar(what: str, *, unit: str, total: int | None = None, quiet: bool = False) -> Bar:
    """A bar to update; it vanishes when it is closed.

    Args:
        what: what is going on.
        unit: of what is counted; `B` is scaled to kB, MB, …
        total: how many there will be, if that is known.
        quiet: show nothing.
    """
    if quiet or not is_terminal():
        return _LogProgress(what, unit, total, quiet=quiet)
    bar = tqdm(
        desc=what,
        total=total,
        unit=unit if unit == "B" else f" {unit}",
        unit_scale=unit == "B",
        leave=False,
        dynamic_ncols=True,
    )
    return cast("Bar", bar)


def write_line(text: str) -> None:
    """A line on stdout, above whatever bar is drawn."""
    tqdm.write(text)


@contextmanager
def progress_callback(what: str, *, unit: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A function to call with how many are done, and of how many."""
    bars: list[Bar] = []

    def show(done: int, total: int) -> None:
        if not bars:
            bars.append(progress_bar(what, unit=unit, total=total, quiet=quiet))
        bars[0].update(done - bars[0].n)

    try:
        yield show
    finally:
        for bar in bars:
            bar.close()


class _LogProgress:
    """A line a minute, with the rate since the one before; work that is short leaves none."""

    def __init__(self, what: str, unit: str, total: int | None, *, quiet: bool) -> None:
        self.n = 0
        self._what = what
        self._unit = unit
        self._total = total
        self._quiet = quiet
        self._told = (time.monotonic(), 0)

    def update(self, more: int = 1) -> None:
        """See `Bar.update`."""
        self.n += more
        if not self._quiet and time.monotonic() - self._told[0] >= _SECONDS_BETWEEN_LINES:
            self._tell()

    def close(self) -> None:
        """See `Bar.close`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _tell(self) -> None:
        now = time.monotonic()
        rate = (self.n - self._told[1]) / max(now - self._told[0], 1e-9)
        self._told = (now, self.n)
        done = self._show(self.n) if self._total is None else f"{self.n:,} of {self._total:,}"
        unit = "" if self._unit == "B" else f" {self._unit}"
        log_line(
            f"{self._what}: {done}{unit}, {self._show(rate)}{unit}/s",
            doing=self._what,
            done=self.n,
            of=self._total,
            unit=self._unit,
            per_second=round(rate, 1),
        )

    def _show(self, amount: float) -> str:
        if self._unit == "B":
            return format_bytes(amount)
        return f"{amount:,}" if isinstance(amount, int) else f"{amount:,.1f}"
