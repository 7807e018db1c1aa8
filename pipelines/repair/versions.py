"""Versions of the libraries that wrote a generation, if others are installed."""

from __future__ import annotations

from pipelines.repair.listed import ListedShard
from records.generations import make_provenance, read_provenance
from records.images import encoder_versions
from records.storage import Storage

_WRITES_INDEXES = "pyarrow"


def describe_other_encoders(shard: ListedShard) -> str:
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


def describe_other_pyarrow(shard: ListedShard, storage: Storage) -> str:
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
