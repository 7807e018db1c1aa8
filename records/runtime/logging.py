"""The log on stderr: text, or JSON lines for log collectors.

Messages go to the logger `shardmill` of the module `logging`. Importing this module does not
configure logging: the command line calls `set_log_format`, and other programs configure logging
themselves.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from records.text.escaping import escape_for_display
from records.text.formatting import abbreviate

_LOGGER = logging.getLogger("shardmill")
_MAX_CHARACTERS = 5000
_LAST_LINE: dict[str, object] = {}
_PREFIXES = {logging.WARNING: "shardmill: note: ", logging.ERROR: "shardmill: "}


def log_line(
    message: str, *, level: int = logging.INFO, trace: bool = False, **fields: object
) -> None:
    """Log a message.

    Args:
        message: the text; control characters are escaped, and a very long text is abbreviated.
        level: the level, as in `logging`; in a text log, warnings and errors begin with the name of
            the program.
        trace: whether to add the traceback of the current exception.
        fields: values for programs; only JSON lines contain them.
    """
    text = abbreviate(escape_for_display(message), _MAX_CHARACTERS)
    _LOGGER.log(level, text, exc_info=trace, extra={"fields": fields})


def log_event(message: str, **fields: object) -> None:
    """Log a message if the log consists of JSON lines; a text log omits the message."""
    if is_json():
        _LOGGER.info(escape_for_display(message), extra={"fields": fields})


def add_to_last_line(**fields: object) -> None:
    """Add values to the last line of the log: the result of the command, for a scheduler."""
    _LAST_LINE.update(fields)


def last_line_fields() -> dict[str, object]:
    """Return the fields of `add_to_last_line`."""
    return dict(_LAST_LINE)


def log_end(**fields: object) -> None:
    """Log the last line, with the fields of `add_to_last_line`."""
    log_event("ended", **fields, **_LAST_LINE)
    _LAST_LINE.clear()


def is_json() -> bool:
    """Return whether the log consists of JSON lines."""
    return isinstance(_HANDLER.formatter, _JsonFormatter)


def is_terminal() -> bool:
    """Return whether stderr is a terminal on which progress bars may be drawn."""
    return sys.stderr is not None and sys.stderr.isatty() and not is_json()


def set_quiet() -> None:
    """Log only errors from now on."""
    _LOGGER.setLevel(logging.ERROR)


def set_log_format(name: str) -> None:
    """Send the log to stderr as `text` or as `json`.

    With `json`, messages and warnings of libraries become JSON lines as well.
    """
    _LOGGER.addHandler(_HANDLER)
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False
    _HANDLER.setFormatter(_JsonFormatter() if name == "json" else _TextFormatter())
    logging.captureWarnings(is_json())
    root = logging.getLogger()
    root.removeHandler(_HANDLER)
    if is_json():
        root.addHandler(_HANDLER)


def format_native_line(line: str) -> str:
    """Return the JSON line for a line that a C library has written to stderr."""
    return _JsonFormatter().format(
        logging.LogRecord("native", logging.WARNING, "", 0, escape_for_display(line), None, None)
    )


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
    """Return a value that JSON can represent, without lone surrogates."""
    if isinstance(value, bool | int | float | list | tuple | dict):
        return value
    return str(value).encode("utf-8", "backslashreplace").decode()


def write_above_bars(line: str, stream: TextIO) -> None:
    """Write a line to stdout or stderr, above the progress bars on the terminal."""
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        tqdm.write(line, file=stream)
    else:  # it has drawn no bar, and takes longer to load than a small conversion to write
        stream.write(line + "\n")


class _StderrHandler(logging.Handler):
    """A handler that writes above a progress bar; a failed write to stderr does not stop a run."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            write_above_bars(self.format(record), sys.stderr)
        except OSError:
            self.handleError(record)


_HANDLER = _StderrHandler()
_HANDLER.setFormatter(_TextFormatter())
