"""Provenance of a generation: `provenance.json`.

It describes the run that published the generation: its source, command, versions and times. It is
not part of the dataset, because equal datasets may have been made at different times. It contains
no credentials. If it is lost or damaged, only the history of the dataset is incomplete.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from records.errors import CorruptDataError
from records.format.layout import PROVENANCE, generation_path
from records.storage import Storage
from records.storage.ownership import write_own
from records.strict_json import decode_json
from records.text.escaping import escape_surrogates
from records.text.urls import without_user
from records.version import __version__

Time = Annotated[datetime, msgspec.Meta(tz=True)]
_LIBRARIES = ("apache-beam", "numpy", "pillow", "pyarrow")
_QUERY = re.compile(r"(://[^\s?#]*)[?#]\S*")
_INSTALLED = re.compile(r"([^-]+)-([^-]+)\.dist-info")


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """The run that published a generation.

    Attributes:
        command: the command, such as `convert`.
        source: the path or URL of its source, without credentials; None if it has none.
        options: the options that were given, by name, without credentials.
        message: the reason that the user gave; None if there was none.
        versions: the versions of shardmill and of the main libraries.
        python: the version of Python.
        platform: the operating system and the processor architecture.
        lock_sha256: the SHA-256 of the names and versions of all installed packages.
        started: the start of the run, UTC; of the last one if it was resumed.
        ended: the time right before the generation was published, UTC.
    """

    command: str
    source: str | None = None
    options: dict[str, Any] = {}
    message: str | None = None
    versions: dict[str, str] = {}
    python: str = ""
    platform: str = ""
    lock_sha256: str | None = None
    started: Time
    ended: Time


def make_provenance(
    command: str,
    *,
    source: str | None = None,
    options: Mapping[str, Any] | None = None,
    message: str | None = None,
    seconds: float = 0.0,
) -> Provenance:
    """Return the provenance of a generation that this process writes.

    Args:
        command: the command.
        source: the path or URL of the source; its credentials are removed.
        options: the options that were given; credentials in URLs are removed.
        message: the reason that the user gave; user names and passwords in URLs are removed.
        seconds: the time since the start of the run.
    """
    started = _to_time(time.time() - seconds)
    installed = _list_installed()
    versions = {name: installed[name] for name in _LIBRARIES if name in installed}
    lines = "".join(f"{name}=={version}\n" for name, version in sorted(installed.items()))
    return Provenance(
        command=command,
        source=None if source is None else _clean(source),
        options=_clean(dict(options or {})),
        message=None if message is None else escape_surrogates(without_user(message)),
        versions={"shardmill": __version__, **versions},
        python=platform.python_version(),
        platform=platform.platform(),
        lock_sha256=hashlib.sha256(lines.encode()).hexdigest(),
        started=started,
        ended=started,
    )


def _to_time(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def _clean(value: Any) -> Any:
    """Return a value of JSON in which no URL has a user name, a password or a query.

    A URL can be anywhere in a text, and need not be valid.
    """
    if isinstance(value, str):
        return escape_surrogates(_QUERY.sub(r"\1", without_user(value)))
    if isinstance(value, Mapping):
        return {str(name): _clean(each) for name, each in value.items()}
    if isinstance(value, Sequence):
        return [_clean(each) for each in value]
    return value


def _list_installed() -> dict[str, str]:
    """Return the versions of all installed packages by name.

    They are read from the names of folders, because reading the metadata would take 0.4 s.
    """
    found: dict[str, str] = {}
    for folder in sys.path:
        with suppress(OSError):
            for name in sorted(os.listdir(folder or ".")):  # noqa: PTH208 - names only
                if match := _INSTALLED.fullmatch(name):
                    found.setdefault(re.sub(r"[-_.]+", "-", match[1]).lower(), match[2])
    return found


def write_provenance(storage: Storage, generation: int, provenance: Provenance) -> None:
    """Write the provenance of a generation that ends now, right before it is published.

    The caller holds the lock.

    Raises:
        OutputError: the folder cannot be written to, or a file of the user has this name.
        LockedError: the file was changed at this moment.
        StorageError: storage failed after retries.
    """
    write_own(storage, generation_path(PROVENANCE, generation), encode_provenance(provenance))


def encode_provenance(provenance: Provenance) -> bytes:
    """Return the content of `provenance.json` of a generation that ends now."""
    ended = msgspec.structs.replace(provenance, ended=_to_time(time.time()))
    return msgspec.json.format(msgspec.json.encode(ended)) + b"\n"


def read_provenance(storage: Storage, generation: int) -> Provenance | None:
    """Return the provenance of a generation, its times in UTC; None if it is lost or damaged.

    Raises:
        StorageError: storage failed after retries.
    """
    try:
        content = storage.read(generation_path(PROVENANCE, generation))
        found = decode_json(content, Provenance)
        started, ended = (each.astimezone(UTC) for each in (found.started, found.ended))
    except (FileNotFoundError, CorruptDataError, msgspec.DecodeError, OverflowError):
        return None
    return msgspec.structs.replace(found, started=started, ended=ended)
