"""What a run tells on stderr: lines for people, or one JSON object a line for a log's collector.

Python's own logging, with one handler; `set_log_format` changes what that makes of a line.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from records.text.escaping import escape_for_display

_LOGGER = logging.getLogger("shardmill")
_PREFIXES = {logging.WARNING: "shardmill: note: ", logging.ERROR: "shardmill: "}


def log_line(
    message: str, *, level: int = logging.INFO, trace: bool = False, **fields: object
) -> None:
    """A line on stderr.

    Args:
        message: what people read; control characters are escaped.
        level: as in `logging`; people see the program's name before warnings and errors.
        trace: add where the exception that is being handled was raised.
        fields: figures and names for programs to read; they are in JSON lines only.
    """
    _LOGGER.log(level, escape_for_display(message), exc_info=trace, extra={"fields": fields})


def log_event(message: str, **fields: object) -> None:
    """A line that only a log of JSON has: people are told otherwise, or need not be."""
    if is_json():
        _LOGGER.info(escape_for_display(message), extra={"fields": fields})


def is_json() -> bool:
    """Whether stderr is for programs to read."""
    return isinstance(_HANDLER.formatter, _JsonFormatter)


def is_terminal() -> bool:
    """Whether stderr is a terminal with a person before it, where bars may be drawn."""
    return sys.stderr.isatty() and not is_json()


def set_quiet() -> None:
    """From here on tell of errors alone."""
    _LOGGER.setLevel(logging.ERROR)


def set_log_format(name: str) -> None:
    """`text`, or `json`: then what libraries log and warn of is lines of JSON as well."""
    _LOGGER.setLevel(logging.INFO)
    _HANDLER.setFormatter(_JsonFormatter() if name == "json" else _TextFormatter())
    logging.captureWarnings(is_json())
    root = logging.getLogger()
    root.removeHandler(_HANDLER)
    if is_json():
        root.addHandler(_HANDLER)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        trace = f"{self.formatException(record.exc_info)}\n" if record.exc_info else ""
        return f"{trace}{_PREFIXES.get(record.levelno, '')}{record.getMessage()}"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        known = {name: _plain(value) for name, value in line.items() if value is not None}
        return json.dumps(known)


def _plain(value: object) -> Any:
    """What JSON can hold, with no half of a character in it."""
    if isinstance(value, bool | int | float | list | tuple | dict):
        return value
    return str(value).encode("utf-8", "backslashreplace").decode()


class _Stderr(logging.Handler):
    """Writes above whatever bar is drawn; a log that nobody reads any more stops no run."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        try:
            tqdm.write(self.format(record), file=sys.stderr)
        except OSError:
            self.handleError(record)


_HANDLER = _Stderr()
_HANDLER.setFormatter(_TextFormatter())
_LOGGER.addHandler(_HANDLER)
_LOGGER.setLevel(logging.INFO)
_LOGGER.propagate = False
