"""The command `export-dataset`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, get_args

import click

from pipelines.cli.options import HELP, job_options
from records.arguments import Positive
from records.cli.option_groups import GroupedCommand, option_group
from records.cli.output import print_json, print_text, processes_option
from records.cli.params import Count, Location
from records.exchange.formats import FORMATS, FormatName
from records.format.layout import SPLITS, SplitName
from records.text.formatting import format_bytes, pluralize

if TYPE_CHECKING:
    from pipelines.export_dataset import ExportReport

_EPILOG = """\b
Examples:
  shardmill export-dataset data/ hub/ --format parquet
  shardmill export-dataset s3://b/data s3://b/shards --format webdataset
  shardmill export-dataset data/ images/ --format folder --split test

Exit codes: 0 done or nothing to do, 2 usage error, 66 no finished dataset, or
damaged, 69 the engine failed, 73 output cannot be written, or contains other
files, 74 storage failed, 75 output in use by another run.
"""


@click.command(cls=GroupedCommand, epilog=_EPILOG, context_settings=HELP)
@click.argument("dataset", type=Location())
@click.argument("output", type=Location())
@option_group(
    "Output",
    click.option(
        "--format",
        type=click.Choice(get_args(FormatName)),
        required=True,
        help="Format of the files.",
    ),
    click.option("--split", type=click.Choice(SPLITS), help="Export only this split."),
    click.option(
        "--file-mb",
        type=Count(Positive),
        metavar="MB",
        help="Approximate size of a file in megabytes.  [default: 256]",
    ),
    click.option(
        "--images-per-file",
        type=Count(Positive),
        metavar="N",
        help="Largest number of images in a file, instead of --file-mb.",
    ),
)
@job_options(
    processes_option,
    click.option("--dry-run", is_flag=True, help="Report what would be written; write nothing."),
    metrics=False,
    message=False,
)
def export_dataset(
    *,
    dataset: str,
    output: str,
    format: FormatName,  # noqa: A002 # the name of the option
    split: SplitName | None,
    file_mb: int | None,
    images_per_file: int | None,
    processes: int | None,
    dry_run: bool,
    runner: str,
    beam_flags: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Write the images of DATASET, with labels and columns, to files of another format in OUTPUT.

    The libraries of the format read these files without shardmill. Images are not decoded: the
    files contain the stored JPEG or PNG files, and raw images as PNG files. To resume an
    interrupted export, run the same command again.
    """
    from pipelines.cli.output import silence_beam_logs
    from pipelines.export_dataset import export_dataset as write_files
    from records.runtime.progress import progress_callback
    from records.runtime.shard_worker import RunnerConfig

    silence_beam_logs()
    with progress_callback("exporting", unit="images", quiet=quiet) as on_progress:
        report = write_files(
            dataset,
            output,
            format=format,
            split=split,
            file_mb=file_mb,
            images_per_file=images_per_file,
            runner=RunnerConfig(runner, beam_flags),
            processes=processes,
            dry_run=dry_run,
            on_progress=on_progress,
        )
    if as_json:
        print_json(report)
    elif not quiet:
        print_text(_summarize(report))


def _summarize(report: ExportReport) -> str:
    kept = f", {pluralize(report.files_kept, 'file')} kept" if report.files_kept else ""
    heads = {
        "exported": f"done, {report.seconds:.1f} s{kept}",
        "nothing-to-do": "nothing to do, the export is complete",
        "planned": "would be written (dry run)",
    }
    found = FORMATS.get(report.format)
    files = f" in {pluralize(report.files, found.file)}" if found else ""
    size = "" if report.bytes is None else f", {format_bytes(report.bytes)}"
    convert = shlex.join(["shardmill", "convert", report.output, "NEW", *report.convert])
    return (
        f"{report.output}: {heads[report.status]}\n"
        f"  {pluralize(report.images, 'image')}{files}{size}\n"
        f"to convert them again: {convert}"
    )
