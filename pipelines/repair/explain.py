"""Explanations of the files that cannot be repaired."""

from __future__ import annotations

import posixpath

from pipelines.repair.listed import ListedFiles, ListedShard, is_derived
from pipelines.repair.remake import Remade
from pipelines.repair.versions import describe_other_encoders, describe_other_pyarrow
from pipelines.writing.publish import derived_files
from records.format import layout
from records.storage import Storage
from records.text.formatting import pluralize

UNKNOWN_ROWS = "its shard is damaged too"
_RESTORE = "restore it from a copy"


def explain_shard(shard: ListedShard, remade: Remade) -> str:
    """Return why a shard with an intact index is not repaired."""
    if remade.missing:
        images = pluralize(len(remade.missing), "image")
        return f"{images} missing from the dataset, and from the source with the same content"
    if others := describe_other_encoders(shard):
        return f"images are encoded with other bytes: {others}"
    return "the result does not have the hash in the manifest"


def explain_index(shard: ListedShard, storage: Storage) -> str:
    """Return why the index of an intact shard is not repaired."""
    if other := describe_other_pyarrow(shard, storage):
        return f"the index is encoded with other bytes: {other}"
    return "the source does not have the files, the groups or the rejects of its images"


def explain_file(name: str, listed: ListedFiles) -> str:
    """Return why a file other than a shard or an index is not repaired."""
    if name in listed.damaged:
        return f"no other file has its content; {_RESTORE}"
    if name in derived_files(listed.present):
        return f"another version of shardmill has derived it from the manifest; {_RESTORE}"
    if posixpath.basename(name) in {layout.REMOVED, layout.RELABELLED}:
        return f"the generations before and after these edits do not give this list; {_RESTORE}"
    if is_derived(name):
        return f"the manifest lists other content than this version derives from it; {_RESTORE}"
    return f"the source does not give this list again; {_RESTORE}"
