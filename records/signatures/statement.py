"""Signed statement: the files of a generation, and its provenance.

It is an in-toto Statement v1 with SLSA provenance v1 as its predicate. Its subjects are the
manifest and all files that the manifest lists, with their SHA-256.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from records.errors import CorruptDataError
from records.format.digest import digest_of
from records.format.layout import MANIFEST, index_name
from records.format.manifest import encode_manifest
from records.strict_json import decode_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from records.format.manifest import Manifest
    from records.generations import Provenance

TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
_BUILD_TYPE = "https://shardmill.github.io/shardmill/reference/on-disk-format/#signature"
_BUILDER = "https://github.com/shardmill/shardmill"

Json = dict[str, Any]


class Subject(msgspec.Struct, frozen=True):
    """A file: its name relative to the dataset, and its hashes by algorithm."""

    name: str
    digest: dict[str, str]


class Statement(msgspec.Struct, frozen=True):
    """The part of an in-toto statement that a verifier compares with a dataset."""

    type: str = msgspec.field(name="_type")
    subject: tuple[Subject, ...]
    predicate_type: str = msgspec.field(name="predicateType")
    predicate: Json


def make_statement(manifest: Manifest, provenance: Provenance | None) -> bytes:
    """Return the statement about a generation as JSON; equal arguments give equal bytes.

    Args:
        manifest: the manifest of the generation.
        provenance: the run that published it; None if it is lost.
    """
    subjects = [Subject(name, {"sha256": sha256}) for name, sha256 in sorted(_list_files(manifest))]
    predicate = _make_predicate(manifest, provenance)
    statement = Statement(TYPE, tuple(subjects), PREDICATE_TYPE, predicate)
    return msgspec.json.encode(statement, order="sorted")


def _list_files(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield the name and the SHA-256 of each file of a generation."""
    yield MANIFEST, digest_of(encode_manifest(manifest)).sha256
    for name, digest in manifest.files.items():
        yield name, digest.sha256
    for info in manifest.splits.values():
        for shard in info.shards:
            yield shard.name, shard.sha256
            yield index_name(shard.name), shard.index.sha256


def _make_predicate(manifest: Manifest, provenance: Provenance | None) -> Json:
    """Return SLSA provenance: the command is the build, and its options are the parameters."""
    parameters: Json = {"generation": manifest.generations[-1].number}
    definition: Json = {"buildType": _BUILD_TYPE, "externalParameters": parameters}
    run: Json = {"builder": {"id": _BUILDER}}
    if provenance is not None:
        parameters |= {"command": provenance.command, "options": provenance.options}
        definition["internalParameters"] = {
            "python": provenance.python,
            "platform": provenance.platform,
            "lock_sha256": provenance.lock_sha256,
        }
        if provenance.source is not None:
            definition["resolvedDependencies"] = [{"uri": _to_uri(provenance.source)}]
        run["builder"]["version"] = provenance.versions
        run["metadata"] = {"startedOn": provenance.started, "finishedOn": provenance.ended}
    return {"buildDefinition": definition, "runDetails": run}


def _to_uri(location: str) -> str:
    return location if "://" in location else f"file://{quote(location)}"


def decode_statement(payload: bytes, *, path: str) -> Statement:
    """Return the statement in a signed payload. Raises CorruptDataError, with `path`."""
    try:
        statement = decode_json(payload, Statement)
    except msgspec.DecodeError as error:
        raise CorruptDataError("this is not a statement", path=path, got=str(error)) from error
    if statement.type != TYPE:
        raise CorruptDataError(
            "this is not a statement", path=path, expected=TYPE, got=statement.type
        )
    return statement


def is_of(statement: Statement, manifest: Manifest) -> bool:
    """Return whether a statement is about exactly this manifest, which lists all other files."""
    signed = {subject.name: subject.digest.get("sha256") for subject in statement.subject}
    return signed.get(MANIFEST) == digest_of(encode_manifest(manifest)).sha256


def read_generation_number(statement: Statement) -> int | None:
    """Return the number of the generation that a statement is about; None if it has none."""
    value: Any = statement.predicate
    for name in ("buildDefinition", "externalParameters", "generation"):
        value = value.get(name) if isinstance(value, dict) else None
    return value if type(value) is int else None
