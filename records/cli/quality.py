"""The command `quality`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from records.cli.option_groups import GroupedCommand
from records.cli.output import json_option, note_unfinished, print_result, processes_option
from records.cli.params import Location, NewFile
from records.runtime.logging import log_line

if TYPE_CHECKING:
    from records.dataset import Dataset
    from records.quality import Quality

# The names in `records.quality.rules`, whose import would load NumPy.
ISSUES = (
    "dark",
    "bright",
    "low-contrast",
    "blurry",
    "enlarged",
    "grey",
    "border",
    "odd-size",
    "odd-aspect-ratio",
    "duplicate",
    "near-duplicate",
)
# Shown below the options; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill quality data/
  shardmill quality data/ --grid issues.png
  shardmill quality data/ --issue dark --issue blurry --keys > bad.txt
  shardmill remove data/ --keys bad.txt
  shardmill quality data/ --near --issue duplicate --issue near-duplicate --grid pairs.png

Exit codes: 0 done, 66 no finished dataset.
"""


@click.command(cls=GroupedCommand, epilog=_EPILOG)
@click.argument("dataset", type=Location())
@click.option(
    "--issue",
    "issues",
    multiple=True,
    type=click.Choice(ISSUES),
    help="Kind of issue to list. Repeatable.  [default: all]",
)
@click.option(
    "--near",
    is_flag=True,
    help="Also find near-duplicates if their perceptual hashes are not saved yet: decode every "
    "image, and save the hashes.",
)
@click.option(
    "--keys",
    is_flag=True,
    help="Print only the keys of the images with an issue, one per line, for convert --exclude and "
    "remove --keys.",
)
@click.option(
    "--grid",
    type=NewFile(".png"),
    metavar="FILE.png",
    help="New file for a picture of the worst images of each issue.",
)
@processes_option
@json_option
def quality(
    dataset: str,
    *,
    issues: tuple[str, ...],
    near: bool,
    keys: bool,
    grid: str | None,
    processes: int | None,
    as_json: bool,
) -> None:
    """Find dark, bright, blurry, enlarged, grey, oddly sized and duplicate images.

    The first use decodes every image of DATASET, and saves the measurements in the folder of the
    dataset. An issue is a reason to look at an image, and not always an error. A limit that more
    than half of the images exceed is replaced by one that is computed from the dataset. Of several
    identical or similar images, all except one have an issue, so that --keys lists those to remove.
    """
    from records.dataset import open_dataset
    from records.verification.unfinished import find_unfinished

    opened = open_dataset(dataset)
    note_unfinished(find_unfinished(opened.storage)[0])
    found = _find(opened, processes, near=near or "near-duplicate" in issues)
    if issues:
        found = found.only(issues)
    if grid is not None:
        _draw(opened, found, grid)
    if keys:
        from records.text.keys import key_to_single_line

        listed = found.keys()
        print_result({"keys": listed}, list(map(key_to_single_line, listed)), as_json=as_json)
        return
    from records.quality.text import format_quality

    print_result(found, format_quality(found, dataset), as_json=as_json)


def _find(dataset: Dataset, processes: int | None, *, near: bool) -> Quality:
    from records.quality import quality as find_issues
    from records.runtime.progress import progress_bar

    images = sum(len(dataset[name]) for name in dataset)
    # Near-duplicates need a second measurement of each image.
    with progress_bar("measuring", unit="images", total=2 * images if near else images) as bar:
        return find_issues(dataset, near=near, processes=processes, on_images=bar.update)


def _draw(dataset: Dataset, found: Quality, grid: str) -> None:
    from records.quality.sheet import draw_quality
    from records.storage.exclusive import write_new_file

    picture = draw_quality(dataset, found)
    if picture is None:
        which = " that can be decoded" if found.findings else ""
        message = f"{grid} is not written, because no image{which} has an issue"
        log_line(message, level=logging.WARNING)
    else:
        write_new_file(grid, picture)
