"""A night's run: what is new in a source, for a dataset that is there.

The dataset's own options hold, its labels keep their numbers and its images their splits. Files
that changed or went away are told of; what was stored of them stays.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipelines.clean import remove_run
from pipelines.incremental.diff import SourceDiff, diff_sources
from pipelines.incremental.fingerprints import read_fingerprints, write_fingerprints
from pipelines.incremental.ingested import read_ingested_files
from pipelines.options import ConvertOptions
from pipelines.planning.plan import make_fingerprint
from pipelines.resume import encoders, read_report
from pipelines.run import Run
from pipelines.run_state import read_run
from pipelines.sources.base import Sources
from pipelines.sources.reader import UnreadableError, open_source, read_file
from records.errors import CorruptDataError, LockedError, UsageError
from records.format import layout
from records.format.manifest import Manifest, Settings, read_manifest
from records.storage import Storage
from records.text.keys import key_from_text


def open_existing(output: Storage) -> Manifest | None:
    """The manifest of the dataset to add to; None where there is none yet: this is the first night.

    Raises:
        CorruptDataError: it is damaged.
        UsageError: its records were written by others.
    """
    if output.stat(layout.MANIFEST) is None:
        return None
    base = read_manifest(output)
    if base.adopted is not None:
        raise UsageError(
            "nothing can be added to records that others wrote",
            path=output.url,
            hint="convert into another output, and train from both",
        )
    return base


def resolve_settings(options: ConvertOptions, base: Manifest) -> Settings:
    """The dataset's own settings. Raises UsageError where others are asked for."""
    default = ConvertOptions(source="", output="").settings()
    _refuse_others(options.settings(), default, base.settings)
    _refuse_others(options.settings().images, default.images, base.settings.images)
    return base.settings


def _refuse_others(given: msgspec.Struct, default: msgspec.Struct, own: msgspec.Struct) -> None:
    for name in given.__struct_fields__:
        wanted, kept = getattr(given, name), getattr(own, name)
        if name != "images" and wanted not in (getattr(default, name), kept):
            raise UsageError(
                f"the dataset was made with another --{name.replace('_', '-')}",
                expected=kept,
                got=wanted,
                hint="leave it away: the dataset's own options hold",
            )


def select_new(
    sources: Sources, output: Storage, base: Manifest, options: ConvertOptions
) -> SourceDiff:
    """Leave in `sources` only what the dataset does not know.

    Raises:
        CorruptDataError: the dataset is damaged.
    """
    try:
        known = read_ingested_files(output, base)
    except FileNotFoundError as error:
        raise CorruptDataError(
            "a file of the dataset is missing",
            path=output.url,
            got=str(error),
            hint="`shardmill verify` lists what else is wrong",
        ) from error
    images = sources.images.sort("key")
    files = open_source(options.source)

    def hash_file(key: bytes, url: str | None) -> bytes:
        try:
            return bytes(xxhash.xxh3_128_digest(read_file(files, key, url)))
        except UnreadableError:
            return b""

    stamps = _stamps(images, known, output)
    found = diff_sources(images, known, stamps, hash_file, threads=options.workers)
    sources.images.filter(pa.array(found.is_new))
    return _without_rejects(sources, known, found)


def _stamps(images: pa.Table, known: pa.Table, output: Storage) -> pa.Table:
    """Those kept; after the first run those of all, if its report says that none moved."""
    stamps, report = read_fingerprints(output), read_report(output)
    if len(stamps) or report is None:
        return stamps
    seen = images.filter(pc.is_in(images["key"], value_set=known["key"]))
    return seen.select(["key", "stamp"]) if make_fingerprint(seen) == report.stamp else stamps


def _without_rejects(sources: Sources, known: pa.Table, found: SourceDiff) -> SourceDiff:
    """Files that listing alone rejects are not new a second time, nor gone."""
    keys = {key_from_text(reject.key): reject for reject in sources.rejects}
    listed = pa.array(keys, pa.large_binary())
    is_known = pc.is_in(listed, value_set=known["key"]).to_pylist()
    sources.rejects = [r for r, known in zip(keys.values(), is_known, strict=True) if not known]
    gone = tuple(key for key in found.gone if key not in keys)
    return replace(found, gone=gone)


def discard_stale_run(run: Run) -> None:
    """Remove a killed run that wanted something else: of another night, or by other encoders."""
    found = read_run(run.output)
    if found is not None and (found.plan_digest, found.encoders) != (run.plan.digest, encoders()):
        remove_run(run.output)


def ensure_unchanged(run: Run) -> None:
    """Make sure that nobody added to the dataset since it was looked at. Raises LockedError."""
    if run.base is not None and read_manifest(run.output) != run.base:
        raise LockedError(
            "another run has added to the dataset since this one looked",
            path=run.output.url,
            hint="run it again",
        )


def save_fingerprints(run: Run) -> None:
    """Write the modification times (or ETags) of the files that the dataset contains."""
    if run.diff is not None and run.diff.stamps is not None and not run.options.dry_run:
        write_fingerprints(run.output, run.diff.stamps)
