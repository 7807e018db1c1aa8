"""What the commands share: lines on stderr, JSON on stdout, files, and Keras's start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from records.errors import InputNotFoundError
from records.runtime.logging import log_line
from records.storage.errors import HINT_FIX, translate_write_errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from trainers.runs.run_dir import Run


def start_backend(say: Callable[[str], None]) -> None:
    """Load Keras, and say what it runs on."""
    from trainers import backend

    hardware = backend.start_backend()
    say(f"running on {hardware}")
    if hardware.problem is not None:
        say(hardware.problem)


def note_unfinished(run: Run) -> None:
    """Say so where a run is used before its end."""
    if not run.is_finished:
        say("the training of this run has not ended: these are the weights of its last epoch")


def tell_unclassified(classified: int, files: int) -> None:
    """Say where some files were not classified. Raises InputNotFoundError where none was."""
    if not classified:
        raise InputNotFoundError("none of the files is an image", got=f"{files} files")
    if classified < files:
        say(f"{files - classified:,} of {files:,} files were not classified")


def say(text: str) -> None:
    """A line on stderr."""
    log_line(text)


def ignore(_text: str) -> None:
    """For those who want quiet."""


def print_json(value: msgspec.Struct) -> None:
    """JSON on stdout, for people to read as well."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def write(path: str, content: bytes) -> None:
    """Write a file that the user named. Raises OutputError."""
    with writing(path):
        Path(path).write_bytes(content)


def writing(path: str) -> AbstractContextManager[None]:
    """Translate OSError of writing a named file. Raises OutputError or StorageError."""
    return translate_write_errors(path, hint=HINT_FIX)
