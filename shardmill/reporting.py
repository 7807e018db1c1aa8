"""Report of a dataset and of runs, as HTML."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from records.arguments import check_arguments
from records.dataset import Dataset, open_dataset
from records.report import ImageSet, Report, add_findings, dataset_sections, render_page
from records.report.missing import missing_label_errors_section, missing_runs_section
from records.runtime.extras import check_extra
from records.stats import read_index_rows
from records.storage.exclusive import (
    create_exclusive,
    require_absent,
    require_new,
    require_outside,
    write_new_file,
)
from records.storage.urls import local_path
from records.text.escaping import escape_for_display, escape_surrogates

if TYPE_CHECKING:
    import pyarrow as pa

    from records.report.parts import Section
    from trainers.label_errors import LabelErrors
    from trainers.report import MeasuredRun

_MAX_CLASS_CHARACTERS = 1_000_000
"""With longer class names together, the page does not offer to correct the class of an image."""


@check_arguments
def report(
    dataset: Dataset | str | os.PathLike[str],
    runs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    output: str | os.PathLike[str] | None = None,
    *,
    split: str | None = None,
    explain: bool = False,
    label_errors: LabelErrors | str | os.PathLike[str] | None = None,
    measure: bool = False,
    on_images: Callable[[int], object] = lambda _images: None,
    on_message: Callable[[str], None] | None = None,
) -> Report:
    """Make a report of a dataset, and of runs that are evaluated on it, as one HTML page.

    The page needs no other file, makes no request, and has at most 10 MB: it shows a sample of the
    images. In a notebook, the result shows the page.

        sm.report("data", ["run"], "report.html")

    Args:
        dataset: a path or URL, or an open dataset.
        runs: the path or URL of a run, or those of several runs. If there are several, the first
            run is compared with each of the others.
        output: the path or URL of a new HTML file; None writes no file.
        split: the split to evaluate the runs on; None as for `evaluate`.
        explain: whether the worst mistakes of each run also have class activation maps, if its
            model has a convolutional map.
        label_errors: the result of `label_errors`, or the path or URL of the output of the command
            `label-errors --json`, for a section about the labels that may be wrong.
        measure: whether to compute and save the measurements for near-duplicates and quality issues
            that are not saved yet. This decodes every image.
        on_images: a callback that receives the number of images in each batch that was measured.
        on_message: called with each line that the command line would print.

    Raises:
        InputNotFoundError: the dataset, a run or a file does not exist.
        CorruptDataError: an index, or a list of files of the dataset, is damaged or missing; or the
            weights of a run. A damaged image has no picture.
        UsageError: the output is inside the dataset, the dataset does not fit a run, or an extra is
            not installed.
        OutputError: the output exists, or cannot be written.
        StorageError: storage failed after retries.
    """
    for package in ("jinja2", "matplotlib"):
        check_extra(package, "report")
    opened = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    location = opened.path if isinstance(dataset, Dataset) else os.fspath(dataset)
    if output is not None:
        require_outside(os.fspath(output), opened.location)
        _require_absent(os.fspath(output))
    found = _read_label_errors(label_errors)
    # Rows are taken from one chunk; from many, each call would join them.
    rows = read_index_rows(opened).combine_chunks()
    images = ImageSet(opened, rows)
    sections = [
        *dataset_sections(
            opened, rows, images, location=location, measure=measure, on_images=on_images
        )
    ]
    if found is not None:
        sections.append(_describe_label_errors(found, opened, rows, images))
    elif not opened.is_multi_label:
        sections.append(missing_label_errors_section(opened))
    if isinstance(runs, str | os.PathLike):
        runs = [runs]
    if runs:
        from trainers.report import run_sections

        measured = _measure(runs, opened, split, on_message, explain=explain)
        sections += run_sections(measured, images)
    else:
        sections.append(missing_runs_section(opened))
    images.load_pictures()
    page = render_page(
        f"Report of {_display(_name(opened))}",
        [*add_findings(sections)],
        images,
        dataset=_display(shlex.quote(opened.path)),
        classes=_offered_classes(opened),
    )
    if output is not None:
        _write(os.fspath(output), page.encode())
    return page


def _read_label_errors(
    given: LabelErrors | str | os.PathLike[str] | None,
) -> LabelErrors | None:
    if not isinstance(given, str | os.PathLike):
        return given
    from trainers.label_errors.saved import read_label_errors

    return read_label_errors(given)


def _describe_label_errors(
    found: LabelErrors, dataset: Dataset, rows: pa.Table, images: ImageSet
) -> Section:
    from trainers.report import label_errors_section

    return label_errors_section(found, dataset, rows, images)


def _measure(
    runs: Sequence[str | os.PathLike[str]],
    dataset: Dataset,
    split: str | None,
    on_message: Callable[[str], None] | None,
    *,
    explain: bool,
) -> list[MeasuredRun]:
    from trainers.report import measure_run

    return [
        measure_run(run, dataset, split, explain_mistakes=explain, on_message=on_message)
        for run in runs
    ]


def _offered_classes(dataset: Dataset) -> Sequence[str]:
    """Return the classes that the page offers as corrections of the class of an image."""
    characters = sum(map(len, dataset.labels))
    if dataset.is_multi_label or characters > _MAX_CLASS_CHARACTERS:
        return ()
    return dataset.labels


def _name(dataset: Dataset) -> str:
    """Return the name of a dataset: that of its description, or its path."""
    given = dataset.manifest.description
    return (given.name if given else None) or dataset.path


def _display(text: str) -> str:
    return escape_for_display(escape_surrogates(text))


def _require_absent(output: str) -> None:
    """Check that the output does not exist, before the work. Raises OutputError."""
    path = local_path(output)
    if path is None:
        require_absent(output)
    else:
        require_new(path)


def _write(output: str, content: bytes) -> None:
    path = local_path(output)
    if path is not None:
        write_new_file(path, content)
        return
    with create_exclusive(output) as staged:
        staged.write(content)
