"""Incremental runs: new images of a source, added to an existing dataset.

The options that the dataset was written with apply. Classes keep their labels, and images keep
their splits. Modified and deleted files are reported, and their records are kept.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.clean import remove_run
from pipelines.fingerprints import read_saved
from pipelines.incremental.class_renames import ClassRenames
from pipelines.incremental.diff import SourceDiff, diff_sources
from pipelines.incremental.hashing import file_hasher
from pipelines.incremental.ingested import read_ingested_files
from pipelines.incremental.labelling import list_labellings
from pipelines.incremental.matching import Numbers, RecordMatches, find_rows, take_rows
from pipelines.options import ConvertOptions
from pipelines.planning.existing_splits import ExistingSplits, existing_splits
from pipelines.resume import encoders
from pipelines.run import Run
from pipelines.run_state import read_run
from pipelines.sources.base import Sources
from pipelines.writing.publish import read_published
from records.errors import CorruptDataError, InputNotFoundError, LockedError, UsageError
from records.format.edits import read_past_edits
from records.format.index import read_shard_index
from records.format.layout import SPLITS
from records.format.manifest import Manifest, Settings, read_manifest
from records.format.skipped import read_skipped
from records.runtime.logging import log_line
from records.storage import Storage
from records.storage.work_folder import (
    describe_command,
    has_unfinished_run,
    unfinished_command,
)
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.keys import key_from_text, key_to_text


def open_existing(output: Storage) -> Manifest | None:
    """Return the manifest of the dataset to append to; None if the output contains no dataset.

    Raises:
        OutputError: the manifest is damaged, or is a file of the user.
        UsageError: the dataset is adopted: another program wrote its records.
    """
    base = read_published(output)
    if base is not None:
        require_own_records(base, output.url, "cannot append to an adopted dataset", "append to")
    return base


def require_own_records(manifest: Manifest, url: str, what: str, then: str) -> None:
    """Raise UsageError with the command that copies the records if a dataset is adopted.

    Args:
        manifest: the manifest of the dataset.
        url: the path or URL of the dataset.
        what: the problem.
        then: what to do with the copy, a verb.
    """
    if manifest.adopted is not None:
        command = shlex.join(["shardmill", "compact", url, f"{url}-compacted"])
        raise UsageError(what, path=url, hint=f"run `{command}`, and {then} the new dataset")


def resolve_settings(options: ConvertOptions, base: Manifest) -> Settings:
    """Return the settings of the dataset.

    Raises:
        UsageError: an option that was passed differs from the setting of the dataset.
    """
    default = ConvertOptions(source="", output="").settings()
    passed = frozenset(options.explicit)
    _refuse_other_settings(options.settings(), default, base.settings, passed)
    _refuse_other_settings(options.images, default.images, base.settings.images, passed)
    return base.settings


def _refuse_other_settings(
    given: msgspec.Struct, default: msgspec.Struct, own: msgspec.Struct, passed: frozenset[str]
) -> None:
    """Compare settings that differ from their defaults, or that the user has `passed`."""
    for name in given.__struct_fields__:
        requested, existing = getattr(given, name), getattr(own, name)
        is_passed = name in passed or requested != getattr(default, name)
        if name != "images" and is_passed and requested != existing:
            raise UsageError(
                f"the dataset was written with a different {_flag(name)}",
                expected=existing,
                got=requested,
                hint="omit this option: the options of the dataset apply",
            )


def _flag(setting: str) -> str:
    return "--multi-label" if setting == "task" else f"--{setting.replace('_', '-')}"


def select_new(
    sources: Sources,
    output: Storage,
    base: Manifest,
    options: ConvertOptions,
    renames: ClassRenames,
) -> SourceDiff:
    """Count the files of `sources` that need no conversion as known; return the differences.

    A file needs conversion if it is new, or a reject that `diff_sources` retries. The classes of
    the dataset count as renamed already.

    Raises:
        CorruptDataError: the dataset is damaged.
        InputNotFoundError: more stored images are missing from the source than allowed.
    """
    found = sources.found
    before = read_saved(output)
    ingested, stored = read_ingested_files(output, base, renames, before.stored)
    images = sources.images.sort("key")
    images = images.append_column("labelling", list_labellings(images))
    saved = before.fingerprints
    hash_files = file_hasher(sources, options)
    matches = RecordMatches(images, ingested, saved, hash_files)
    excluded, rejected = _excluded_keys(sources), _rejected_keys(sources)
    missing = _without_listed(matches.missing(), ingested, saved, excluded)
    # A rejected file is not missing, but its content may be in another file now.
    unmatched = _without_listed(matches.match(missing), ingested, saved, rejected)
    deleted = tuple(take_rows(ingested, unmatched)["key"].to_pylist())
    _refuse_many_missing(deleted, pc.sum(ingested["is_stored"]).as_py() or 0, options)
    edits = read_past_edits(output, base, renames.names)
    diff = diff_sources(
        images,
        matches,
        saved,
        hash_files,
        deleted=deleted,
        edits=edits,
        renames=renames,
        is_train_divided=bool(base.thresholds),
    )
    sources.images.filter(pa.array(diff.is_new))
    _note_no_longer_excluded(sources, images.filter(pa.array(diff.is_new)), output, base)
    kept_out = [key_from_text(record.key) for record in edits.removed]
    known = pa.array(kept_out, pa.large_binary())
    _remove_known_rejects(sources, pa.chunked_array([*ingested["key"].chunks, known]))
    sources.known = found - sources.found
    # A local index needs no request, and the rows of merged classes are those after the run.
    is_saved = not output.is_local and not renames.merged
    return replace(diff, has_saved=len(saved) > 0, stored=stored if is_saved else None)


def _excluded_keys(sources: Sources) -> set[bytes]:
    if not sources.left_out.outcomes["excluded"]:
        return set()
    return {key_from_text(file.key) for file in sources.left_out if file.outcome == "excluded"}


def _rejected_keys(sources: Sources) -> set[bytes]:
    return {key_from_text(reject.key) for reject in sources.rejects}


def _without_listed(
    missing: Numbers, ingested: pa.Table, fingerprints: pa.Table, listed: set[bytes]
) -> Numbers:
    """Return the missing files of which neither key, old or new, nor a folder of it, is listed.

    Args:
        missing: row numbers in `ingested`.
        ingested: the result of `read_ingested_files`.
        fingerprints: the result of `read_fingerprints`, with the new keys of renamed files.
        listed: keys of files, and of folders with a slash at the end.
    """
    if not len(missing) or not listed:
        return missing
    stored_keys = take_rows(ingested, missing)["key"]
    renamed = take_rows(fingerprints, find_rows(stored_keys, fingerprints["stored_key"]))["key"]
    is_listed = [
        any(not listed.isdisjoint((key, *_folders(key))) for key in keys if key is not None)
        for keys in zip(stored_keys.to_pylist(), renamed.to_pylist(), strict=True)
    ]
    return np.delete(missing, np.flatnonzero(is_listed))


def _folders(key: bytes) -> Iterator[bytes]:
    """Yield the folders of a key, each with a slash at the end."""
    return (key[: match.end()] for match in re.finditer(rb"/", key))


def _refuse_many_missing(deleted: tuple[bytes, ...], stored: int, options: ConvertOptions) -> None:
    """Raise InputNotFoundError if most of the source seems to be missing, as after a bad mount."""
    if len(deleted) > (allowed := options.allowed_gone(stored)):
        what = "source" if options.list is None else "list"
        raise InputNotFoundError(
            f"too many stored images are missing from the {what}",
            path=escape_for_display(options.list or options.source),
            expected=f"at most {allowed:,} of {pluralize(stored, 'image')}",
            got=f"{len(deleted):,}, the first: {escape_for_display(key_to_text(min(deleted)))}",
            hint=f"check the {what}, or allow any number with --max-gone 1.0",
        )


def read_existing_splits(output: Storage, base: Manifest) -> ExistingSplits:
    """Return the splits of the dataset, with its groups if splits are stratified iteratively.

    With hashes, the group of a new image determines its split; with iterative stratification, only
    the existing images of the group show it.

    Raises:
        CorruptDataError: an index is damaged or missing.
    """
    shards = (
        (SPLITS.index(split), shard) for split, info in base.splits.items() for shard in info.shards
    )
    groups = (
        (split, read_shard_index(output, shard).table["group"].to_numpy())
        for split, shard in (shards if base.settings.is_iterative else ())
    )
    return existing_splits(base, groups)


def _note_no_longer_excluded(
    sources: Sources, new: pa.Table, output: Storage, base: Manifest
) -> None:
    """Add a note if the run adds images that the last run excluded."""
    if not base.generations[-1].counts.excluded:
        return
    with suppress(FileNotFoundError, CorruptDataError):  # `verify` reports the damage
        listed = read_skipped(output, base.generations[-1].number)
        keys = [key_from_text(file.key) for file in listed if file.outcome == "excluded"]
        excluded = pc.is_in(new["key"], value_set=pa.array(keys, pa.large_binary()))
        if added := pc.sum(excluded).as_py():
            sources.notes.append(
                f"{pluralize(added, 'new image')}: excluded by the last run, but not by this one"
                " (--exclude, --classes and --map are not stored in the dataset)"
            )


def _remove_known_rejects(sources: Sources, known: pa.ChunkedArray) -> None:
    """Remove the rejects whose keys the dataset already lists."""
    keys = {key_from_text(reject.key): reject for reject in sources.rejects}
    listed = pa.array(keys, pa.large_binary())
    is_known = pc.is_in(listed, value_set=known).to_pylist()
    sources.rejects = [r for r, known in zip(keys.values(), is_known, strict=True) if not known]


def discard_stale_run(run: Run, *, keep: str | None = None) -> list[str]:
    """Remove an unfinished run with a different plan or different encoder versions.

    The run of another command is kept if it has not written a dataset: it can be resumed. In a
    finished dataset, it is removed.

    Args:
        run: the run to start.
        keep: a folder in the work folder whose files belong to this run.

    Returns:
        The names of all files that are in the output now.
    """
    names = run.output.list()
    if not has_unfinished_run(names):
        return names
    command = unfinished_command(run.output)
    if run.base is None and command != run.command:
        return names
    found, present = read_run(run.output), (run.plan.digest, encoders())
    is_stale = found is not None and (found.plan_digest, found.encoders) != present
    is_other = command is not None and command != run.command
    # A run that was killed after it published has nothing to lose.
    published = None if run.base is None else run.base.generations[-1].plan_digest
    if is_other and found is not None and found.plan_digest != published:
        name, _ = describe_command(str(command))
        log_line(f"{run.output.url}: the unfinished run of `{name}` is removed")
    if is_stale or is_other:
        remove_run(run.output, keep=keep)
        return run.output.list()
    return names


def ensure_unchanged(run: Run) -> None:
    """Check that no other run has changed the dataset since its manifest was read.

    Raises:
        LockedError: another run has changed the dataset.
    """
    if run.base is not None and read_manifest(run.output) != run.base:
        raise LockedError(
            "another run has changed the dataset since this run read it",
            path=run.output.url,
            hint="run the same command again",
        )
