"""The command `stats`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from records.cli.option_groups import GroupedCommand, option_group
from records.cli.output import json_option, note_unfinished, print_result, processes_option
from records.cli.params import Location, NewFile
from records.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from records.dataset import Dataset
    from records.dedup import NearDuplicates
    from records.stats import Stats

# Shown below the options; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill stats data/
  shardmill stats data/ --plot stats.png
  shardmill stats data/ --keys leaks > leaks.txt
  shardmill convert photos/ data2/ --test 0.2 --exclude leaks.txt
  shardmill stats data/ --near --grid pairs.png

Exit codes: 0 done, 66 no finished dataset.
"""


@click.command(cls=GroupedCommand, epilog=_EPILOG)
@click.argument("dataset", type=Location())
@option_group(
    "Duplicates",
    click.option(
        "--near",
        is_flag=True,
        help="Find near-duplicates: images of the same picture, resized, re-encoded or slightly "
        "cropped. The first use decodes every image and saves the hashes in the folder of the "
        "dataset.",
    ),
    click.option(
        "--keys",
        type=click.Choice(["duplicates", "leaks", "near", "near-leaks"]),
        help="Print only the keys of images to exclude (convert --exclude), one per line. "
        "duplicates: identical files, except the first of each group. leaks: identical files in "
        "more than one split; those in test are kept, or those in validation if none is in test. "
        "near: near-duplicates of a kept image; images in test are kept first, then those in "
        "validation. near-leaks: images in train or validation near to an image in test, and "
        "images in train near to an image in validation.",
    ),
)
@option_group(
    "Pictures",
    click.option(
        "--plot",
        type=NewFile(".png"),
        metavar="FILE.png",
        help="New file for charts of class counts and image sizes.",
    ),
    click.option(
        "--grid",
        type=NewFile(".png"),
        metavar="FILE.png",
        help="New file for a picture of near-duplicate pairs side by side; requires --near.",
    ),
)
@processes_option
@json_option
def stats(
    dataset: str,
    *,
    plot: str | None,
    near: bool,
    grid: str | None,
    keys: str | None,
    processes: int | None,
    as_json: bool,
) -> None:
    """Count classes, sizes, formats and duplicates of a dataset.

    The numbers come from the indexes of DATASET. Only --near reads shards.
    """
    from records.dataset import open_dataset
    from records.runtime.extras import check_extra
    from records.stats import read_index_rows
    from records.stats import stats as compute_stats
    from records.storage.exclusive import write_new_file
    from records.verification.unfinished import find_unfinished

    if plot is not None:
        check_extra("matplotlib", "plot")
    near = near or keys in {"near", "near-leaks"}
    for flag, value in (("--grid", grid), ("--processes", processes)):
        if value is not None and not near:
            raise UsageError(f"{flag} requires --near", hint="add --near")
    opened = open_dataset(dataset)
    note_unfinished(find_unfinished(opened.storage)[0])
    rows = read_index_rows(opened)
    found = _find_near(opened, rows, processes) if near else None
    if found is not None and grid is not None:
        from records.dedup.pair_sheet import draw_pair_sheet

        write_new_file(grid, draw_pair_sheet(opened, found))
    if keys is not None:
        _print_keys(_choose_keys(keys, rows, found), as_json=as_json)
        return
    computed = compute_stats(opened, rows)
    if plot is not None:
        from records.stats.charts import draw_stats

        write_new_file(plot, draw_stats(computed, rows))
    _print_stats(computed, found, dataset, as_json=as_json)


def _print_stats(
    computed: Stats, found: NearDuplicates | None, path: str, *, as_json: bool
) -> None:
    from records.stats.text import format_stats

    lines = format_stats(computed, path)
    if found is None:
        print_result(computed, lines, as_json=as_json)
        return
    import msgspec

    from records.dedup.text import format_near

    result = {**msgspec.structs.asdict(computed), "near": found}
    print_result(result, [*lines, *format_near(found, computed.labels)], as_json=as_json)


def _find_near(dataset: Dataset, rows: pa.Table, processes: int | None) -> NearDuplicates:
    from records.dedup import find_near_duplicates
    from records.runtime.progress import progress_bar, progress_callback

    with (
        progress_bar("hashing", unit="images", total=len(rows)) as bar,
        progress_callback("searching", unit="parts", quiet=False) as show,
    ):

        def on_progress(done: int, total: int) -> None:
            bar.close()  # when the search begins, all images are hashed
            show(done, total)

        return find_near_duplicates(
            dataset, rows, processes=processes, on_images=bar.update, on_progress=on_progress
        )


def _choose_keys(keys: str, rows: pa.Table, near: NearDuplicates | None) -> Sequence[str]:
    from records.stats import duplicate_keys, find_groups, leak_keys

    if near is not None and keys == "near":
        return near.keys
    if near is not None and keys == "near-leaks":
        return near.leak_keys
    groups = find_groups(rows)
    return duplicate_keys(groups) if keys == "duplicates" else leak_keys(groups)


def _print_keys(keys: Sequence[str], *, as_json: bool) -> None:
    from records.text.keys import key_to_single_line

    print_result({"keys": keys}, [key_to_single_line(key) for key in keys], as_json=as_json)
