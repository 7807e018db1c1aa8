"""Progress: a bar on terminals, one line per minute in logs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, Self, cast

from records.runtime.logging import is_terminal, log_line, write_above_bars
from records.text.escaping import escape_for_display
from records.text.formatting import format_bytes

_LOG_INTERVAL_SECONDS = 60


class Bar(Protocol):
    """A display of progress; `n` is the amount done."""

    n: int

    def update(self, more: int = 1) -> object:
        """Add to the amount done."""

    def close(self) -> None:
        """Remove the bar."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_error: object) -> None: ...


def progress_bar(what: str, *, unit: str, total: int | None = None, quiet: bool = False) -> Bar:
    """Return a progress bar; `close` removes the bar.

    Args:
        what: the activity, such as `converting`.
        unit: the unit of the amount; `B` is scaled to kB, MB, …
        total: the final amount, if known.
        quiet: whether to show nothing.
    """
    if quiet or not is_terminal():
        return _LogProgress(what, unit, total, quiet=quiet)
    from tqdm import tqdm

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
    """Write a line to stdout, above the progress bar if one is drawn; its names are escaped."""
    write_above_bars(escape_for_display(text), sys.stdout)


@contextmanager
def progress_callback(what: str, *, unit: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that shows progress, given the amount done and the final amount."""
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
    """A display that logs one line per minute with the current rate; short work logs nothing."""

    def __init__(self, what: str, unit: str, total: int | None, *, quiet: bool) -> None:
        self.n = 0
        self._what = what
        self._unit = unit
        self._total = total
        self._quiet = quiet
        self._logged = (time.monotonic(), 0)

    def update(self, more: int = 1) -> None:
        """See `Bar.update`."""
        self.n += more
        if not self._quiet and time.monotonic() - self._logged[0] >= _LOG_INTERVAL_SECONDS:
            self._log()

    def close(self) -> None:
        """See `Bar.close`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _log(self) -> None:
        now = time.monotonic()
        rate = (self.n - self._logged[1]) / max(now - self._logged[0], 1e-9)
        self._logged = (now, self.n)
        done = self._format(self.n) if self._total is None else f"{self.n:,} of {self._total:,}"
        unit = "" if self._unit == "B" else f" {self._unit}"
        log_line(
            f"{self._what}: {done}{unit}, {self._format(rate)}{unit}/s",
            doing=self._what,
            done=self.n,
            of=self._total,
            unit=self._unit,
            per_second=round(rate, 1),
        )

    def _format(self, amount: float) -> str:
        if self._unit == "B":
            return format_bytes(amount)
        return f"{amount:,}" if isinstance(amount, int) else f"{amount:,.1f}"
