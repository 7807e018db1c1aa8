"""Check of a signature, and of the SHA-256 of shards."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from records.errors import CorruptDataError, StorageError
from records.format.digest import digest_stream
from records.format.layout import SIGNATURE
from records.integrity.findings import FileCheck, Finding
from records.signatures import is_of, read_generation_number, read_public_key, read_signed_statement

if TYPE_CHECKING:
    from records.format.manifest import Manifest, ShardInfo
    from records.storage import Storage


def check_signature(storage: Storage, manifest: Manifest, key: str | os.PathLike[str]) -> FileCheck:
    """Check that a key has signed a manifest; the hashes of all files are in the manifest.

    Args:
        storage: the storage of the dataset.
        manifest: the manifest of the generation to check.
        key: the path of the public key.

    Raises:
        InputNotFoundError: the key does not exist.
        UsageError: the file is not a public key, or the extra `sign` is not installed.
    """
    checked = FileCheck(SIGNATURE)
    detail = _find_fault(storage, manifest, read_public_key(os.fspath(key)))
    if detail is not None:
        checked.findings.append(Finding("signature", SIGNATURE, detail))
    return checked


def _find_fault(storage: Storage, manifest: Manifest, key: Any) -> str | None:
    try:
        content = storage.read(SIGNATURE)
        statement = read_signed_statement(content, key, path=SIGNATURE)
    except FileNotFoundError:
        return "file not found"
    except CorruptDataError as error:
        return error.what if error.got is None else f"{error.what}: {error.got}"
    except StorageError as error:
        return str(error)
    if is_of(statement, manifest):
        return None
    number, present = read_generation_number(statement), manifest.generations[-1].number
    if number in {None, present}:
        return "the signature is that of another manifest"
    return f"the signature is that of generation {number}, not of generation {present}"


def check_sha256(storage: Storage, shard: ShardInfo) -> list[Finding]:
    """Return a finding if a shard does not have the SHA-256 in the manifest.

    The xxh3-128 that other checks compare does not detect a deliberate change.
    """
    try:
        with storage.open(shard.name) as stream:
            found = digest_stream(stream).sha256
    except (FileNotFoundError, CorruptDataError, StorageError) as error:
        return [Finding("unreadable", shard.name, str(error))]
    if found == shard.sha256:
        return []
    detail = f"SHA-256: expected {shard.sha256} as in the manifest, got {found}"
    return [Finding("checksum", shard.name, detail)]
