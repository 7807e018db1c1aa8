"""Errors of the temporary files that writers need."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from records.errors import OutputError
from records.storage.errors import translate_write_errors

_WHAT = "temporary files"
_HINT = "set TMPDIR to a folder with more space, and run the same command again"


@contextmanager
def translate_temporary_errors() -> Iterator[None]:
    """Translate the errors of writing a temporary file, which is not in the output.

    Raises:
        OutputError: the temporary folder is full, or cannot be written.
        StorageError: any other OSError.
    """
    folder = tempfile.gettempdir()
    try:
        with translate_write_errors(folder, what=_WHAT, hint=_HINT):
            yield
    except RuntimeError as error:  # of a library in C++
        got = str(error).partition(";")[0]
        raise OutputError(f"{_WHAT} cannot be written", path=folder, got=got, hint=_HINT) from error
