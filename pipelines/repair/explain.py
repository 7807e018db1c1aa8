"""Explanations of the files that cannot be repaired."""

from __future__ import annotations

import posixpath

from pipelines.repair.listed import ListedFiles, ListedShard, is_derived
from pipelines.repair.remake import Remade
from pipelines.writing.publish import derived_files
from records.format import layout
from records.generations import make_provenance, read_provenance
from records.images import encoder_versions
from records.storage import Storage
from records.text.formatting import pluralize

UNKNOWN_ROWS = "its shard is damaged too"
_RESTORE = "restore it from a copy"
_WRITES_INDEXES = "pyarrow"


def explain_shard(shard: ListedShard, remade: Remade) -> str:
    """Return why a shard with an intact index is not repaired."""
    if remade.missing:
        images = pluralize(len(remade.missing), "image")
        return f"{images} missing from the dataset, and from the source with the same content"
    if others := _describe_other_encoders(shard):
        return f"images are encoded with other bytes: {others}"
    return "the result does not have the hash in the manifest"


def explain_index(shard: ListedShard, storage: Storage) -> str:
    """Return why the index of an intact shard is not repaired."""
    if other := _describe_other_pyarrow(shard, storage):
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


def _describe_other_encoders(shard: ListedShard) -> str:
    """Return the versions of image libraries that differ from those of this environment.

    The result is empty if none differs. A shard of edited records contains images of earlier
    generations.
    """
    here = encoder_versions()
    written: dict[str, list[str]] = {}
    for generation in shard.manifest.generations:
        if generation.number <= shard.written_by.number:
            for name, versions in generation.encoders.items():
                found = written.setdefault(name, [])
                found += [each for each in versions.split(", ") if each not in found]
    return _describe(
        {name: ", ".join(found) for name, found in written.items() if found != [here.get(name)]},
        here,
    )


def _describe_other_pyarrow(shard: ListedShard, storage: Storage) -> str:
    """Return the version of PyArrow that wrote an index, if this environment has another one.

    The result is empty if it is the same, or if the provenance of the generation is lost.
    """
    provenance = read_provenance(storage, shard.written_by.number)
    here = make_provenance("repair").versions
    written = {} if provenance is None else provenance.versions
    if written.get(_WRITES_INDEXES) in {None, here.get(_WRITES_INDEXES)}:
        return ""
    return _describe({_WRITES_INDEXES: written[_WRITES_INDEXES]}, here)


def _describe(written: dict[str, str], here: dict[str, str]) -> str:
    return "; ".join(
        f"written with {name} {versions}, this environment has {here.get(name, 'none')}"
        for name, versions in sorted(written.items())
    )
