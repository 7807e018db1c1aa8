"""Existing content of an output: a finished dataset or an unfinished run.

The digest of a plan covers the key and size of each file. If only the digest of all fingerprints
has changed, every source file is hashed again and compared with its hash in the index.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pyarrow as pa
import xxhash

from pipelines import run_state
from pipelines.fingerprints import read_fingerprints, save_fingerprints
from pipelines.planning.plan import PlannedShard, make_fingerprint
from pipelines.run import Run
from pipelines.run_state import UnfinishedRun
from pipelines.sources.base import SourceImage
from pipelines.sources.containers import open_images, read_image
from pipelines.sources.containers.member import known_hash
from pipelines.sources.reader import SourceFiles, UnreadableError
from pipelines.writing.own_index import remove_index
from pipelines.writing.publish import read_published, replaced_files
from pipelines.writing.source_hashes import stored_hashes
from records.errors import CorruptDataError, OutputError
from records.format import layout
from records.format.index import read_index, read_index_file
from records.format.layout import index_name, is_dataset_file
from records.format.manifest import Manifest
from records.images import encoder_versions
from records.runtime.cpu import available_cpus
from records.runtime.telemetry import span
from records.storage import Storage
from records.storage.ownership import remove_own, require_own
from records.storage.work_folder import (
    has_unfinished_run,
    remove_own_files,
    run_of_other_command,
    unfinished_command,
)
from records.text.formatting import pluralize
from records.text.keys import key_to_text

_STAGING = f"{layout.WORK_FOLDER}/staging"


def find_finished(run: Run) -> Manifest | None:
    """Return the manifest of the dataset of this plan; None if the output contains no dataset.

    Raises:
        OutputError: the output contains a dataset of a different plan, or a damaged dataset.
    """
    output = run.output
    manifest = read_published(output)
    if manifest is None:
        return None
    if manifest.generations[-1].plan_digest != run.plan.digest:
        is_compaction = run.command == "compact"
        difference = "the records" if is_compaction else "images or options"
        addition = ", or add new images with --append" if run.command == "convert" else ""
        raise OutputError(
            f"the output already contains a dataset of a different plan ({difference} differ)",
            path=output.url,
            hint=f"choose another output{addition}",
        )
    if run.has_other_description(manifest):
        raise OutputError(
            "the output already contains this dataset with another description",
            path=output.url,
            hint="to replace the description, add --append"
            if run.command == "convert"
            else "choose another output",
        )
    _check_sizes(run, manifest)
    return manifest


def _check_sizes(run: Run, manifest: Manifest) -> None:
    output = run.output
    for shard in (shard for split in manifest.splits.values() for shard in split.shards):
        present = output.stat(shard.name)
        if present is None or present.size_bytes != shard.bytes:
            raise OutputError(
                "a shard of the dataset is missing or incomplete",
                path=output.display_name(shard.name),
                expected=pluralize(shard.bytes, "byte"),
                got="no file" if present is None else pluralize(present.size_bytes, "byte"),
                hint="list all damage with `shardmill verify`, and repair it with"
                f" `shardmill repair`, or {run.command} into another output",
            )


def check_unchanged(run: Run) -> None:
    """Check that no source file was modified since the dataset was written.

    Saves the fingerprints again if they differ, but no file was modified.

    Raises:
        OutputError: the content of a source file differs from its hash in the index.
    """
    output = run.output
    if make_fingerprint(read_fingerprints(output)) == run.plan.fingerprint:
        return
    for _, key in shards_with_modified_sources(run):
        raise OutputError(
            "a source file was modified after the dataset was written",
            path=output.url,
            got=key,
            hint="choose another output to convert the current files",
        )
    save_fingerprints(run)


def find_unfinished(run: Run) -> UnfinishedRun | None:
    """Return the unfinished run of this plan; None if the output contains no unfinished run.

    Raises:
        OutputError: the output contains an unfinished run that cannot be resumed (its command, its
            plan or its image libraries differ), or a file of the user that has the name of a
            dataset file.
    """
    return _find_unfinished(run, run.output.list(), replaced_files(run))


def _find_unfinished(
    run: Run, names: list[str], replaced: Mapping[str, bytes | None]
) -> UnfinishedRun | None:
    """Return the same as `find_unfinished`.

    Args:
        run: the run.
        names: the names of all files of the output.
        replaced: the result of `replaced_files`.
    """
    output = run.output
    # A listing replaces requests for files that a new run does not find.
    command = unfinished_command(output) if has_unfinished_run(names) else None
    # If there is a dataset to append to, the other command has written it and was then killed.
    if run.base is None and command not in {None, run.command}:
        raise run_of_other_command(output, str(command))
    unfinished = run_state.read_run(output) if layout.RUN_PLAN in names else None
    if unfinished is None:
        _refuse_files_of_user(run, names, replaced)
        return None
    if unfinished.plan_digest != run.plan.digest:
        raise OutputError(
            "the output contains an unfinished run of a different plan (images or options differ)",
            path=output.url,
            hint="run its original command again, or remove the run with `shardmill clean`",
        )
    present = encoders()
    if unfinished.encoders != present:
        raise OutputError(
            "the unfinished run was started with different versions of the image libraries",
            path=output.url,
            expected=_differences(unfinished.encoders, present),
            got=_differences(present, unfinished.encoders),
            hint="install the expected versions to resume, or run `shardmill clean` and start over",
        )
    shards = [shard.name for shard in run.plan.all_shards]
    _refuse_files_of_user(run, names, replaced, {*shards, *map(index_name, shards)})
    return unfinished


class Prepared(NamedTuple):
    """A prepared output.

    Attributes:
        shards_kept: the number of shards that are finished already.
        replaced: the result of `replaced_files`.
        crashed: the name of the shard that a killed run without marks may have been writing, if
            there is one.
    """

    shards_kept: int
    replaced: Mapping[str, bytes | None]
    crashed: str | None = None


@span("prepare")
def prepare_output(run: Run, names: list[str], *, in_order: bool = False) -> Prepared:
    """Prepare the output for this plan.

    Args:
        run: the run.
        names: the names of all files of the output.
        in_order: whether a new run writes its shards in order, see `UnfinishedRun`.

    Raises:
        OutputError: see `find_unfinished`.
    """
    output, plan = run.output, run.plan
    if any(name.startswith(_STAGING) for name in names):
        # This process holds the lock: staged files belong to a killed run.
        remove_own_files(output, _STAGING)
    replaced = replaced_files(run)
    unfinished = _find_unfinished(run, names, replaced)
    if unfinished is None:
        run_state.write_run(output, plan, run.command, encoders(), in_order=in_order)
        return Prepared(0, replaced)
    is_touched = unfinished.fingerprint != plan.fingerprint
    if is_touched:
        _remove_modified(run)
    kept = {
        shard.name
        for shard in plan.all_shards
        if _is_reusable(output, shard, is_touched=is_touched)
    }
    left = [shard.name for shard in plan.all_shards if shard.name not in kept]
    # Written even if no file was touched: the plan of a killed run may be damaged.
    run_state.write_run(output, plan, run.command, encoders(), unfinished)
    run_state.clear_results(output)
    return Prepared(len(kept), replaced, left[0] if left and unfinished.in_order else None)


def _is_reusable(output: Storage, shard: PlannedShard, *, is_touched: bool) -> bool:
    """Return whether a shard may be kept; if not, remove its files. Raises OutputError."""
    try:
        rejects = read_index_file(output, index_name(shard.name)).summary.rejects
    except (FileNotFoundError, CorruptDataError):
        pass
    else:
        # An unreadable file may be readable now. A file that was rejected before it was read has
        # no hash: if any file was touched, it is checked again.
        if not any(
            reject.reason == "unreadable" or (is_touched and not reject.xxh3_128)
            for reject in rejects
        ):
            return True
        run_state.mark_finished(output, shard.name)
    remove_index(output, shard.name)
    remove_own(output, shard.name)
    return False


def _remove_modified(run: Run) -> None:
    """Remove the indexes of finished shards with modified source files."""
    for shard, _ in list(shards_with_modified_sources(run)):
        remove_index(run.output, shard.name)
        run_state.mark_finished(run.output, shard.name)


def encoders() -> dict[str, str]:
    """Return the versions of the libraries that determine the written bytes."""
    return encoder_versions() | {"pyarrow": pa.__version__}


def _differences(these: dict[str, str], others: dict[str, str]) -> str:
    return ", ".join(f"{k} {v}" for k, v in sorted(these.items()) if others.get(k) != v) or "none"


def _refuse_files_of_user(
    run: Run,
    names: list[str],
    replaced: Mapping[str, bytes | None],
    planned: Collection[str] = (),
) -> None:
    """Raise OutputError if the output contains a file with a name that the run may write.

    The files of the dataset to append to that the run keeps are not read. The files in `planned`
    are not read either: they are checked before they are removed.
    """
    own = {name for name, content in replaced.items() if content is not None}
    found = {name for name in names if is_dataset_file(name)}.difference(planned, own)
    if run.base is not None:
        folder = layout.generation_folder(run.plan.generation)
        saved = layout.saved_manifest_name(run.base.generations[-1].number)
        others = {*replaced, saved}
        found = {name for name in found if name in others or name.startswith(f"{folder}/")}
    for name in sorted(found):
        require_own(run.output, name)


def shards_with_modified_sources(run: Run) -> Iterator[tuple[PlannedShard, str]]:
    """Yield each finished shard that has a modified source file, and the key of the first one."""
    sources, follow_symlinks = run.sources, run.options.follow_symlinks
    files = open_images(sources.location, sources.containers, follow_symlinks=follow_symlinks)
    with ThreadPoolExecutor(run.options.workers or available_cpus()) as pool:
        for shard in run.plan.shards:
            stored = _stored_hashes(run.output, shard.name)
            images = shard.images
            hashes = pool.map(lambda image: _hash(image, files), images, chunksize=32)
            for image, now in zip(images, hashes, strict=True):
                key = key_to_text(image.key)
                if stored is not None and key in stored and stored[key] != now:
                    yield shard, key
                    break


def _stored_hashes(output: Storage, name: str) -> dict[str, str] | None:
    """Return the hashes of the files of a shard, stored or rejected, by key.

    None if the shard has no readable index: it is not finished.
    """
    try:
        index = read_index(output, index_name(name))
    except (FileNotFoundError, CorruptDataError):
        return None
    return stored_hashes(index)


def _hash(image: SourceImage, files: SourceFiles) -> str:
    if (known := known_hash(image.member)) is not None:
        return known.hex()
    try:
        linked, size_bytes = bool(image.linked), image.size_bytes
        data = read_image(
            files, image.key, image.url, size_bytes, linked=linked, member=image.member
        )
    except UnreadableError:
        return ""
    return str(xxhash.xxh3_128_hexdigest(data))
