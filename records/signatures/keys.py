"""Keys of signatures: Ed25519 in PEM, as OpenSSL writes them.

openssl genpkey -algorithm ed25519 -out key.pem
openssl pkey -in key.pem -pubout -out key.pub
"""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from records.errors import InputNotFoundError, UsageError
from records.runtime.extras import require_extra
from records.runtime.logging import log_line
from records.storage import read_named_file
from records.storage.urls import local_path
from records.text.escaping import escape_for_display

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

PASSWORD = "SHARDMILL_KEY_PASSWORD"  # noqa: S105 # the name of a variable
"""The environment variable with the password of a private key."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_MOST_BYTES = 1 << 16


def read_private_key(path: str) -> Ed25519PrivateKey:
    """Return a private key. Logs a note if other users can read its file.

    Raises:
        InputNotFoundError: the file does not exist.
        UsageError: the file is not a private key, or its password is missing or wrong; or the extra
            `sign` is not installed.
    """
    pem, ed25519 = _modules()
    place = escape_for_display(path)
    content = _read(path)
    password = _password(content, place)
    try:
        key = pem.load_pem_private_key(content, password)
    except _key_errors() as error:
        if password is None:
            raise _not_a_key("private", place, str(error), _MAKE_KEY) from error
        raise UsageError(
            "the private key cannot be decrypted",
            path=place,
            got=str(error),
            hint=f"set {PASSWORD} to the password of this key",
        ) from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise _not_a_key("private", place, "another kind of key", _MAKE_KEY)
    _note_readable(path)
    return key  # type: ignore[no-any-return] # the package may be missing


def read_public_key(path: str) -> Ed25519PublicKey:
    """Return a public key.

    Raises:
        InputNotFoundError: the file does not exist.
        UsageError: the file is not a public key; or the extra `sign` is not installed.
    """
    pem, ed25519 = _modules()
    place = escape_for_display(path)
    content = _read(path)
    try:
        key = pem.load_pem_public_key(content)
    except _key_errors() as error:
        got = "a private key" if b"PRIVATE KEY" in content else str(error)
        raise _not_a_key("public", place, got, _WRITE_PUBLIC) from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise _not_a_key("public", place, "another kind of key", _MAKE_KEY)
    return key  # type: ignore[no-any-return] # the package may be missing


def make_key_id(key: Ed25519PublicKey) -> str:
    """Return the ID of a public key: the SHA-256 of its DER."""
    pem, _ = _modules()
    der = key.public_bytes(pem.Encoding.DER, pem.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


_MAKE_KEY = "make a key with `openssl genpkey -algorithm ed25519 -out key.pem`"
_WRITE_PUBLIC = "write the public key with `openssl pkey -in key.pem -pubout -out key.pub`"


def _modules() -> tuple[Any, Any]:
    pem = require_extra("cryptography.hazmat.primitives.serialization", "sign")
    return pem, require_extra("cryptography.hazmat.primitives.asymmetric.ed25519", "sign")


def _key_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that the content of a file can cause."""
    exceptions = require_extra("cryptography.exceptions", "sign")
    return ValueError, TypeError, exceptions.UnsupportedAlgorithm


def _password(content: bytes, place: str) -> bytes | None:
    """Return the password of a private key; None if it has none. Raises UsageError."""
    if b"BEGIN ENCRYPTED PRIVATE KEY" not in content:
        return None
    password = os.environ.get(PASSWORD)
    if password is None:
        raise UsageError("the private key has a password", path=place, hint=f"set {PASSWORD}")
    return os.fsencode(password)


def _not_a_key(kind: str, place: str, got: str, hint: str) -> UsageError:
    return UsageError(
        f"this is not a {kind} key of signatures",
        path=place,
        expected="an Ed25519 key in PEM",
        got=got,
        hint=hint,
    )


def _read(path: str) -> bytes:
    try:
        return read_named_file(path, most_bytes=_MOST_BYTES)
    except FileNotFoundError as error:
        raise InputNotFoundError("key not found", path=path) from error


def _note_readable(path: str) -> None:
    local, mode = local_path(path), 0
    if local is not None:
        with suppress(OSError):  # removed since it was read
            mode = os.stat(local).st_mode  # noqa: PTH116 - `local` is a string
    if stat.S_ISREG(mode) and mode & _OTHERS:
        name = escape_for_display(path)
        command = f"chmod 600 {shlex.quote(name)}"
        log_line(f"note: other users can read the private key {name}; run `{command}`")
