"""The command `extract`."""

from __future__ import annotations

import shlex

import click

from pipelines.cli.options import HELP
from records.cli.output import (
    json_option,
    print_json,
    print_text,
    processes_option,
    quiet_option,
)
from records.cli.params import Location
from records.text.escaping import escape_surrogates
from records.text.formatting import pluralize

_EPILOG = """\b
Example:
  shardmill extract data/ photos-again/

Exit codes: 0 done, 2 usage error, 66 no finished dataset, or damaged, 73 OUTPUT
exists or cannot be written, 74 storage failed.
"""


@click.command(epilog=_EPILOG, context_settings=HELP)
@click.argument("dataset", type=Location())
@click.argument("output", type=Location())
@processes_option
@json_option
@quiet_option
def extract(dataset: str, output: str, processes: int | None, as_json: bool, quiet: bool) -> None:
    """Write the images of DATASET to folders: OUTPUT/SPLIT/CLASS/FILE.

    If an image has any number of labels, there are no class folders. For such a dataset, and for a
    dataset that keeps columns, OUTPUT/SPLIT/metadata.jsonl contains the labels and the columns.
    The command that converts the images again is printed.
    """
    from pipelines.extract import extract as write_images
    from pipelines.extract import options_to_convert
    from records.dataset import open_dataset
    from records.runtime.progress import progress_callback

    opened = open_dataset(dataset)
    total = sum(map(len, opened.values()))
    done = 0
    with progress_callback("extracting", unit="images", quiet=quiet) as on_progress:

        def on_images(images: int) -> None:
            nonlocal done
            done += images
            on_progress(done, total)

        written = write_images(dataset, output, on_images, processes=processes)
    _show(output, written, options_to_convert(opened), as_json=as_json, quiet=quiet)


def _show(
    output: str, images: int, convert_options: list[str], *, as_json: bool, quiet: bool
) -> None:
    """Print the number of images, and the command that converts them again if it needs options."""
    if as_json:
        shown = [*map(escape_surrogates, convert_options)]
        print_json({"output": escape_surrogates(output), "images": images, "convert": shown})
    elif not quiet:
        print_text(f"{pluralize(images, 'image')} in {output}")
        if convert_options:
            command = shlex.join(["shardmill", "convert", output, "NEW", *convert_options])
            print_text(f"to convert them again: {command}")
