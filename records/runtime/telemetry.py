"""Spans and metrics of the run of a command, for telemetry.

A run only notes when its spans begin and end. The command line exports them at the end, if
telemetry is configured. Other programs note nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple


class Metric(NamedTuple):
    """A metric of a run: a gauge, with its value at the end of the run.

    Attributes:
        name: the name without the prefix of the program, such as `new_images`.
        text: the description, a sentence.
        unit: the unit in the notation of UCUM, such as `s`, `By` or `{image}`.
        value: the value.
        labels: the values of its labels, such as `output`, by name.
    """

    name: str
    text: str
    unit: str
    value: float
    labels: Mapping[str, str]


class Span(NamedTuple):
    """A part of a run that has ended; the times are nanoseconds since 1970."""

    name: str
    started_ns: int
    ended_ns: int
    has_failed: bool


@dataclass
class RunRecord:
    """The run of a command.

    Attributes:
        command: the name of the command.
        started_ns: the start of the run, in nanoseconds since 1970.
        spans: the parts of the run that have ended, in the order of their ends.
        metrics: a function that returns the metrics of a successful run.
    """

    command: str
    started_ns: int = field(default_factory=time.time_ns)
    spans: list[Span] = field(default_factory=list)
    metrics: Callable[[], Iterable[Metric]] = tuple


_RECORDS: list[RunRecord] = []
"""The record of the run of this process; empty if telemetry is not configured."""


def start_record(command: str) -> None:
    """Note the spans and metrics of a command from now on."""
    _RECORDS[:] = [RunRecord(command)]


def end_record() -> RunRecord | None:
    """Return the record of the run of this process, which has ended; None if there is none."""
    return _RECORDS.pop() if _RECORDS else None


@contextmanager
def span(name: str) -> Iterator[None]:
    """Note the begin and the end of a part of the run: of the block, or of the function.

    Args:
        name: the name, the same for all runs.
    """
    started_ns, has_failed = time.time_ns(), True
    try:
        yield
        has_failed = False
    finally:
        for record in _RECORDS:
            record.spans.append(Span(name, started_ns, time.time_ns(), has_failed))


def record_metrics(metrics: Callable[[], Iterable[Metric]]) -> None:
    """Set the function that returns the metrics of a successful run; it may never be called."""
    for record in _RECORDS:
        record.metrics = metrics
