"""Progress of long work on stderr: a bar on a terminal, a line a minute in a log, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from tqdm import tqdm

if TYPE_CHECKING:
    Bar = tqdm[Any]

_SECONDS_BETWEEN_LINES = 60


def open_bar(what: str, *, unit: str, total: int | None = None, quiet: bool = False) -> Bar:
    """A bar to update; it vanishes when it is closed.

    Args:
        what: what is going on.
        unit: of what is counted; `B` is scaled to kB, MB, …
        total: how many there will be, if that is known.
        quiet: show nothing.
    """
    shared: dict[str, Any] = {
        "desc": what,
        "total": total,
        "unit": unit if unit == "B" else f" {unit}",
        "unit_scale": unit == "B",
        "leave": False,
        "disable": quiet,
    }
    if sys.stderr.isatty():
        return tqdm(**shared, dynamic_ncols=True)
    counts = "{desc}: {n_fmt}" if total is None else "{desc}: {n_fmt} of {total_fmt}"
    return tqdm(
        **shared,
        file=_Lines(sys.stderr),
        bar_format=counts + "{unit}, {rate_fmt}",
        delay=_SECONDS_BETWEEN_LINES,
        mininterval=_SECONDS_BETWEEN_LINES,
        maxinterval=_SECONDS_BETWEEN_LINES,
    )


@contextmanager
def show_progress(what: str, *, unit: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A function to call with how many are done, and of how many."""
    bars: list[Bar] = []

    def show(done: int, total: int) -> None:
        if not bars:
            bars.append(open_bar(what, unit=unit, total=total, quiet=quiet))
        bars[0].update(done - bars[0].n)

    try:
        yield show
    finally:
        for bar in bars:
            bar.close()


class _Lines:
    """Makes lines of what tqdm would write over and over in the same one."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        if line := text.strip():
            self._stream.write(f"{line}\n")

    def flush(self) -> None:
        self._stream.flush()
