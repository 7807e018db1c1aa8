"""A folder that is there whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from records.errors import StorageError, TargetError, UsageError
from records.storage import is_url

if TYPE_CHECKING:
    from collections.abc import Iterator


def check_new(location: str | os.PathLike[str]) -> Path:
    """The path of a folder to be made, where nothing but an empty folder is.

    Raises:
        TargetError: something is there.
        UsageError: it is a URL.
    """
    text = os.fspath(location)
    if is_url(text):
        raise UsageError("a model is exported to a local folder", got=text)
    path = Path(text)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise TargetError(
            "something is here, and it is not overwritten",
            path=text,
            hint="choose another folder, or remove that one",
        )
    return path


@contextmanager
def making(path: Path) -> Iterator[Path]:
    """A folder beside `path` to write to, which becomes `path` when the block ends well.

    Raises:
        TargetError: it cannot be written, or something has come to be at `path`.
        StorageError: writing failed.
    """
    staged = path.absolute().parent / f".{secrets.token_hex(4)}-{path.name}"
    try:
        staged.mkdir(parents=True)
        yield staged
        staged.rename(path)
    except OSError as error:
        kind = TargetError if error.errno is not None else StorageError
        raise kind(
            "the model cannot be written", path=str(path), got=error.strerror or str(error)
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
