"""Tests of the errors for exhausted memory, threads and files."""

from __future__ import annotations

import errno

import pytest

from records.errors import OutputError, ResourceError
from records.runtime.resource_limits import explain_exhaustion


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        OSError(errno.EMFILE, "Too many open files"),
        RuntimeError("can't start new thread"),
        ImportError("libx.so: failed to map segment from shared object"),
    ],
)
def test_explain_exhaustion_limit_gives_error_with_hint(error: Exception) -> None:
    explained = explain_exhaustion(error)
    assert isinstance(explained, ResourceError)
    assert explained.hint is not None


def test_explain_exhaustion_no_temporary_folder_names_tmpdir() -> None:
    error = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")
    explained = explain_exhaustion(error)
    assert isinstance(explained, OutputError)
    assert "TMPDIR" in str(explained)


@pytest.mark.parametrize(
    "error", [KeyError("memory"), RuntimeError("a bug"), FileNotFoundError(errno.ENOENT, "a")]
)
def test_explain_exhaustion_other_errors_are_not_explained(error: Exception) -> None:
    assert explain_exhaustion(error) is None
