"""The limit of rejected images, and its error."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.report import Report, RunCounts, list_reasons
from pipelines.run import Run
from pipelines.writing.results import ConversionResult
from records.errors import TooManyRejectsError
from records.format.index import Reject
from records.images.formats import NEEDS_HEIF
from records.runtime.extras import install_command
from records.text.formatting import pluralize


def exceeds_limit(run: Run, counts: RunCounts) -> bool:
    """Return whether more images were rejected than `--max-rejects` allows."""
    images = counts.stored + counts.rejected
    return counts.rejected > run.options.allowed_rejects(images, needs_image=_needs_image(run))


def _needs_image(run: Run) -> bool:
    """Return whether the dataset has no other records than those that the run stores."""
    base = run.base
    if base is None:
        return run.plan.generation == 1
    return len(run.sources.removed) == sum(split.records for split in base.splits.values())


def is_refused(run: Run, counts: RunCounts) -> bool:
    """Return whether nothing is published because of the limit.

    With `--quarantine`, the other images are published; a dataset needs at least one.
    """
    is_publishable = counts.stored > 0 or not _needs_image(run)
    return exceeds_limit(run, counts) and not (run.options.quarantine and is_publishable)


def too_many_rejects(
    result: ConversionResult, report: Report, *, listed_in: str | None = None
) -> TooManyRejectsError:
    """Return the error of a run that publishes nothing.

    Args:
        result: the rejects and the counts of the run.
        report: the report of the run.
        listed_in: the path or URL of the list of all rejects; None if there is none.
    """
    reasons = list_reasons(report.rejects_by_reason)
    first = result.rejects[0]
    images = result.counts.stored + result.counts.rejected
    advice = _advise(result.rejects, has_images=result.counts.stored > 0)
    return TooManyRejectsError(
        f"{result.counts.rejected:,} of {pluralize(images, 'image')} rejected ({reasons}), "
        f"the first: {first.key}: {first.detail}",
        hint=f"{listed_in} lists the rejects; {advice}" if listed_in else advice,
    )


def _advise(rejects: Sequence[Reject], *, has_images: bool) -> str:
    if all(reject.detail == NEEDS_HEIF for reject in rejects):
        return f"to read HEIC: {install_command('heif')}"
    if all(reject.reason == "no-class" for reject in rejects):
        return (
            "move the images of each class into a separate folder, or list all images in a file for"
            " --list"
        )
    fix = "run `shardmill clean` and then fix the images, or omit them with --exclude"
    if not has_images:
        return fix
    return (
        "publish the other images with --quarantine, or allow more rejects with --max-rejects"
        f" (both keep finished shards), or {fix}"
    )
