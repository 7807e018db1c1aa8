"""Conversion of a source of images before a training run."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

from records.errors import InputNotFoundError, TooManyRejectsError, UsageError
from records.format.layout import INDEX_FOLDER, LABELS, MANIFEST, REJECTS, WORK_FOLDER
from records.generations import split_generation
from records.storage import absolute_location, local_path, open_storage, redact_url, split_location
from records.storage.exclusive import require_outside
from records.text.escaping import escape_for_display, escape_surrogates
from records.text.formatting import pluralize
from trainers.jobs import SourceDataset
from trainers.models import find_model, is_reference
from trainers.runs.create import require_empty
from trainers.training.planning.option_checks import check_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.report import Report
    from trainers.options import TrainOptions

_KIND = "datasets"
_NAME_CHARACTERS = 40


def make_dataset(
    location: str,
    data: str | None,
    *,
    options: TrainOptions,
    run: str,
    is_resumed: bool = False,
    dry_run: bool = False,
    on_message: Callable[[str], None],
    on_progress: Callable[[int, int], None] | None = None,
) -> SourceDataset:
    """Return the dataset at a location, or convert the source at the location to one.

    A source is converted with the default options. If it was converted before, only its new images
    are added, and images whose files are missing are removed from a dataset in the cache.

    Args:
        location: the path or URL of a dataset or of a source, such as a folder or an archive.
        data: the folder or URL for the dataset of a source; None means a folder in the cache.
        options: the options of the run, which are checked before images are converted.
        run: the folder or URL of the run, which must be outside the source.
        is_resumed: whether the run exists, so that it continues on the unchanged dataset.
        dry_run: whether to only report what would be converted.
        on_message: called with each line that the user should read.
        on_progress: called with the number of converted images, and the number of all images.

    Raises:
        InputNotFoundError: the location is neither a dataset nor a source of images.
        UsageError: `data` is given for a dataset, an option conflicts with another, or the source
            cannot be converted.
        OutputError: the folder of the run contains files.
        ShardmillError: an error that `convert` raises.
    """
    if not is_source(location):
        if data is not None and _is_finished(location):
            raise UsageError(
                "this is a dataset, so that no images are converted",
                path=_show(location),
                got="--data",
                hint="omit --data",
            )
        return SourceDataset(location)
    output = _cached_location(location) if data is None else data
    if is_resumed and _is_finished(output):
        return SourceDataset(output)
    if not is_resumed:
        is_converted = data is not None and _is_finished(data)
        require_empty(run, dataset=data if is_converted else location, resume=True)
    if not is_reference(options.model):
        check_options(options, find_model(options.model))
    require_outside(run, location, what="source", name="run")
    report = _convert(
        location, output, is_cached=data is None, dry_run=dry_run, on_progress=on_progress
    )
    for line in _describe(report, location, output):
        on_message(line)
    return SourceDataset(output, _plan(report, location) if report.status == "planned" else None)


def is_source(location: str) -> bool:
    """Return whether a location may be a source: it exists, and no conversion has written to it."""
    path = local_path(location)
    if split_generation(location)[1] is not None or split_location(location)[1] == MANIFEST:
        return False
    if path is not None and not os.path.isdir(path):  # noqa: PTH112 - may be any bytes
        return os.path.exists(path) or _is_pattern(location)  # noqa: PTH110
    storage = open_storage(location)
    is_written = any(storage.stat(name) is not None for name in (MANIFEST, LABELS))
    return not (is_written or storage.list(WORK_FOLDER) or storage.list(INDEX_FOLDER))


def _is_pattern(location: str) -> bool:
    from pipelines.sources.containers import locate_source

    return locate_source(location).is_pattern


def _is_finished(location: str) -> bool:
    return open_storage(location).stat(MANIFEST) is not None


def _cached_location(source: str) -> str:
    """Return the folder in the cache for a source: other default options have another folder."""
    from pipelines.options import ConvertOptions
    from records.strict_json import encode_canonical
    from trainers.cache_dir import cache_dir

    path = local_path(source)
    place = absolute_location(source) if path is None else os.path.realpath(path)
    settings = encode_canonical(ConvertOptions(source="", output="").settings())
    digest = hashlib.sha256(os.fsencode(redact_url(place)) + b"\0" + settings).hexdigest()[:16]
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", os.path.basename(place.rstrip("/")))  # noqa: PTH119
    return str(cache_dir(_KIND) / f"{name[:_NAME_CHARACTERS]}-{digest}")


def _convert(
    source: str,
    output: str,
    *,
    is_cached: bool,
    dry_run: bool,
    on_progress: Callable[[int, int], None] | None,
) -> Report:
    from pipelines.convert import convert
    from pipelines.options import make_options

    options: dict[str, object] = {
        "source": source,
        "output": output,
        "append": True,
        "dry_run": dry_run,
    }
    if is_cached:
        # The dataset follows its source, which is the only place where the user changes images.
        options |= {"allow_new_classes": True, "accept_gone": True, "max_gone": 1.0}
    shown = _show(source)
    try:
        return convert(make_options(options), on_progress)
    except InputNotFoundError as error:
        raise InputNotFoundError(
            "neither a dataset nor a source of images",
            path=shown,
            got=error.what,
            hint="name a dataset, which `shardmill convert SOURCE OUTPUT` makes, or images: a "
            "folder with one folder per class, or an archive of such a folder",
        ) from error
    except UsageError as error:
        own = f"for options of the conversion, use `shardmill convert {shown} OUTPUT`"
        error.hint = own if error.hint is None else f"{error.hint}; {own}"
        raise
    except TooManyRejectsError as error:
        error.hint = (
            f"repair the images, or convert them with `shardmill convert {shown} OUTPUT "
            "--max-rejects N`, and train on OUTPUT"
        )
        raise


def _describe(report: Report, source: str, output: str) -> list[str]:
    """Return lines about a conversion."""
    stored, shown, to = pluralize(report.counts.stored, "image"), _show(source), _show(output)
    if report.status == "nothing-to-do":
        lines = [f"{shown} is converted: {to}"]
    elif report.status == "planned":
        lines = [f"would convert {stored} of {shown} to {to}"]
    else:
        lines = [f"converted {stored} of {shown} to {to}"]
    if report.removed or report.corrected:
        removed = pluralize(report.removed, "image")
        lines.append(f"{removed} removed, {report.corrected:,} with a new class")
    if report.counts.rejected:
        rejected = pluralize(report.counts.rejected, "image")
        lines.append(f"{rejected} rejected: see {REJECTS} in {to}")
    if changed := report.differences.changed:
        lines.append(
            f"{pluralize(changed, 'image')} changed since the conversion, which the dataset does "
            f"not have: to convert all images again, remove {to}"
        )
    return [*lines, *(f"note: {note}" for note in report.notes)]


def _plan(report: Report, source: str) -> dict[str, object]:
    """Return a planned conversion as JSON for `train --dry-run`."""
    return {
        "status": "planned",
        "source": escape_surrogates(redact_url(source)),
        "dataset": report.output,
        "images_to_convert": report.counts.stored,
        "classes": report.classes,
        "notes": list(report.notes),
    }


def _show(location: str) -> str:
    return escape_for_display(redact_url(location))
