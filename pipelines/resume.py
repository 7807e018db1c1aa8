"""What an output holds before a conversion: nothing, this dataset, this run, or another's.

Files rewritten in place: a modification time that moved at equal size is looked into by hash.

A plan knows a file by its key and size. Where the stamp of all modification times (or ETags) is not
the one that was kept, every source file is hashed again and compared with what the index says.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import msgspec
import pyarrow as pa
import xxhash

from pipelines import run_state
from pipelines.planning.plan import PlannedShard
from pipelines.report import Report, encode_report
from pipelines.run import Run
from pipelines.run_state import UnfinishedRun
from pipelines.sources.base import SourceImage
from pipelines.sources.reader import SourceFiles, UnreadableError, open_source, read_file
from pipelines.writing.publish import DATASET_FILES
from records.errors import CorruptDataError, OutputError
from records.format import layout
from records.format.index import read_index, read_shard_summary
from records.format.layout import index_name, parse_shard_name
from records.format.manifest import Manifest, read_manifest, shard_names
from records.images import encoder_versions
from records.storage import Storage
from records.strict_json import decode_json
from records.text.keys import key_to_text


def find_finished(run: Run) -> Manifest | None:
    """The manifest of this very plan's dataset, None where the output holds no dataset.

    Raises:
        OutputError: it holds another one, or one that is damaged.
    """
    output = run.output
    if output.stat(layout.MANIFEST) is None:
        return None
    try:
        manifest = read_manifest(output)
    except CorruptDataError as error:
        raise OutputError(
            f"the output is taken: {error.what}",
            path=error.path,
            got=error.got,
            hint="choose another output",
        ) from error
    if manifest.generations[-1].plan_digest != run.plan.digest:
        raise OutputError(
            "the output holds a dataset of another plan (other images or other options)",
            path=output.url,
            hint="choose another output, or add what is new with --append",
        )
    _check_sizes(output, manifest)
    return manifest


def _check_sizes(output: Storage, manifest: Manifest) -> None:
    for shard in (shard for split in manifest.splits.values() for shard in split.shards):
        present = output.stat(shard.name)
        if present is None or present.size_bytes != shard.bytes:
            raise OutputError(
                "the dataset here has lost a shard, or a part of it",
                path=output.display_name(shard.name),
                expected=f"{shard.bytes} bytes",
                got="no file" if present is None else f"{present.size_bytes} bytes",
                hint="`shardmill verify` tells what else; convert into another output",
            )


def check_unchanged(run: Run) -> None:
    """Look into files that were touched since the dataset here was made.

    Raises:
        OutputError: one holds other bytes now.
    """
    output, plan = run.output, run.plan
    kept = read_report(output)
    if kept is not None and kept.fingerprint == plan.fingerprint:
        return
    for _, key in shards_with_modified_sources(run):
        raise OutputError(
            "the dataset here was made from other bytes: a source file changed since",
            path=output.url,
            got=key,
            hint="choose another output to convert what is there now",
        )
    if kept is not None and not run.options.dry_run:
        report = msgspec.structs.replace(kept, fingerprint=plan.fingerprint)
        # An output that is read-only by now is looked into again next time: no reason to fail.
        with suppress(OutputError):
            output.replace(layout.REPORT, encode_report(report))


def read_report(output: Storage) -> Report | None:
    """The report of the last run that came to an end; None where it is lost."""
    try:
        return decode_json(output.read(layout.REPORT), Report)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def find_unfinished(run: Run) -> UnfinishedRun | None:
    """The run of this plan that an output holds unfinished, None where it holds none.

    Raises:
        OutputError: something else is there: another unfinished run, or files of other origin.
    """
    output = run.output
    unfinished = run_state.read_run(output)
    if unfinished is None:
        _refuse_foreign_files(output, run.base)
        return None
    if unfinished.plan_digest != run.plan.digest:
        raise OutputError(
            "an unfinished run with another plan (other images or other options) is here",
            path=output.url,
            hint="run it again as it was, or remove it with `shardmill clean`",
        )
    present = encoders()
    if unfinished.encoders != present:
        raise OutputError(
            "an unfinished run was begun with other versions of the image libraries",
            path=output.url,
            expected=_differences(unfinished.encoders, present),
            got=_differences(present, unfinished.encoders),
            hint="go on with those versions, or remove it with `shardmill clean` and begin anew",
        )
    return unfinished


def prepare_output(run: Run) -> int:
    """Make the output ready for this plan; the number of shards an earlier run left finished.

    Raises:
        OutputError: as `find_unfinished`.
    """
    output, plan = run.output, run.plan
    # Under the lock nobody else stages anything: what lies here is a dead run's.
    output.remove_folder(f"{layout.WORK_FOLDER}/staging")
    unfinished = find_unfinished(run)
    if unfinished is None:
        run_state.write_run(output, plan, encoders())
        return 0
    is_touched = unfinished.fingerprint != plan.fingerprint
    if is_touched:
        _drop_changed(run)
    kept = [shard for shard in plan.shards if _is_reusable(output, shard, is_touched=is_touched)]
    # Also where nothing was touched: the plans that a dead run left are not relied on.
    run_state.write_run(output, plan, encoders())
    run_state.clear_results(output)
    return len(kept)


def _is_reusable(output: Storage, shard: PlannedShard, *, is_touched: bool) -> bool:
    """Whether a shard counts as finished; if not, what there is of it is removed."""
    try:
        rejects = read_shard_summary(output, index_name(shard.name)).rejects
    except (FileNotFoundError, CorruptDataError):
        pass
    else:
        # A file that could not be read may be readable by now. Of one that is rejected for its
        # bytes nothing is kept to compare: where files were touched, it is looked into again.
        if not any(is_touched or reject.reason == "unreadable" for reject in rejects):
            return True
    output.remove(index_name(shard.name))
    output.remove(shard.name)
    return False


def _drop_changed(run: Run) -> None:
    """Remove the indexes of finished shards whose sources were rewritten since."""
    for shard, _ in list(shards_with_modified_sources(run)):
        run.output.remove(index_name(shard.name))


def encoders() -> dict[str, str]:
    """The libraries that the bytes depend on, and their versions."""
    return encoder_versions() | {"pyarrow": pa.__version__}


def _differences(these: dict[str, str], others: dict[str, str]) -> str:
    return ", ".join(f"{k} {v}" for k, v in sorted(these.items()) if others.get(k) != v) or "none"


def _refuse_foreign_files(output: Storage, base: Manifest | None) -> None:
    """Refuse an output where a dataset's files are, of whatever origin; others stay beside ours."""
    own = set() if base is None else _files_of(base)
    for name in output.list():
        if name in own:
            continue
        folder = name.rpartition("/")[0]
        if (
            name in DATASET_FILES
            or parse_shard_name(name) is not None
            or folder == layout.INDEX_FOLDER
        ):
            raise OutputError(
                "a file of a dataset is there already, and no unfinished run of ours is",
                path=output.display_name(name),
                hint="move it away, or choose another output",
            )


def _files_of(manifest: Manifest) -> set[str]:
    """Every file that a dataset may have."""
    shards = shard_names(manifest)
    beside = (
        layout.generation_path(name, generation.number)
        for name in DATASET_FILES
        for generation in manifest.generations
    )
    return {*shards, *map(index_name, shards), *beside}


def shards_with_modified_sources(run: Run) -> Iterator[tuple[PlannedShard, str]]:
    """Finished shards that hold other bytes than their sources now do, each with the first key."""
    files = open_source(run.options.source)
    with ThreadPoolExecutor(run.options.workers) as pool:
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
    """Source hashes by key, None where the shard has no index: it is not finished."""
    try:
        table = read_index(output, index_name(name)).table
    except (FileNotFoundError, CorruptDataError):
        return None
    return dict(zip(table["key"].to_pylist(), table["source_xxh3_128"].to_pylist(), strict=True))


def _hash(image: SourceImage, files: SourceFiles) -> str:
    try:
        data = read_file(files, image.key, image.url)
    except UnreadableError:
        return ""
    return str(xxhash.xxh3_128_hexdigest(data))
