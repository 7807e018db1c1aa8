"""The command `stats`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from records.cli.output import check_png_path, json_option, print_result, write_picture
from records.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from records.dataset import Dataset
    from records.dedup.groups import NearDuplicates
    from records.stats.counts import Stats

# Below the options, where a reader of --help looks last; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill stats data/
  shardmill stats data/ --plot stats.png
  shardmill stats data/ --keys leaks > leaks.txt
  shardmill convert photos/ data2/ --test 0.2 --exclude leaks.txt
  shardmill stats data/ --near --grid pairs.png

Exit codes: 0 done, 66 no finished dataset.
"""


@click.command(epilog=_EPILOG)
@click.argument("target")
@click.option("--plot", metavar="OUT.png", help="Draw class counts and image sizes.")
@click.option(
    "--near",
    is_flag=True,
    help="Find images that are the same picture resized, re-encoded or slightly cropped. Decodes "
    "every image once; keeps its hash in the dataset's folder.",
)
@click.option("--grid", metavar="OUT.png", help="With --near: draw the pairs side by side.")
@click.option(
    "--keys",
    type=click.Choice(["duplicates", "leaks", "near", "near-leaks"]),
    help="Print only keys, one a line, for convert --exclude: without them no file is twice in the "
    "dataset (all but the first of each are printed), or none in two splits (test keeps it, else "
    "validation); near and near-leaks: likewise no picture.",
)
@json_option
def stats(
    target: str,
    *,
    plot: str | None,
    near: bool,
    grid: str | None,
    keys: str | None,
    as_json: bool,
) -> None:
    """Count classes, sizes, formats and duplicates of a dataset, from its index alone."""
    from records.dataset import open_dataset
    from records.stats import counts as figures

    check_png_path(plot)
    check_png_path(grid)
    near = near or keys in {"near", "near-leaks"}
    if grid is not None and not near:
        raise UsageError("--grid draws near-duplicates", hint="add --near")
    dataset = open_dataset(target)
    rows = figures.read_indexed(dataset)
    found = _find_near(dataset, rows) if near else None
    if found is not None and grid is not None:
        from records.dedup.pair_sheet import draw_pair_sheet

        write_picture(grid, draw_pair_sheet(dataset, found))
    if keys is not None:
        _print_keys(_choose_keys(keys, rows, found), as_json=as_json)
        return
    computed = figures.compute_stats(dataset, rows)
    if plot is not None:
        from records.stats.charts import draw_stats

        write_picture(plot, draw_stats(computed, rows))
    _print_stats(computed, found, target, as_json=as_json)


def _print_stats(
    computed: Stats, found: NearDuplicates | None, target: str, *, as_json: bool
) -> None:
    from records.stats.text import format_stats

    lines = format_stats(computed, target)
    if found is None:
        print_result(computed, lines, as_json=as_json)
        return
    import msgspec

    from records.dedup.text import format_near

    facts = {**msgspec.structs.asdict(computed), "near": found}
    print_result(facts, [*lines, *format_near(found, computed.labels)], as_json=as_json)


def _find_near(dataset: Dataset, rows: pa.Table) -> NearDuplicates:
    from records.dedup.groups import find_near_duplicates
    from records.dedup.hash_cache import HashDataset
    from records.runtime.logging import log_line
    from records.runtime.progress import progress_bar, progress_callback

    with progress_bar("hashing", unit="images", total=len(rows)) as bar:
        hashing = HashDataset(dataset, bar.update)
        hashes = hashing.run()
    if hashing.not_kept is not None:
        log_line(f"the hashes are not kept: {hashing.not_kept}", level=logging.WARNING)
    with progress_callback("searching", unit="parts", quiet=False) as show:
        return find_near_duplicates(rows, hashes, show)


def _choose_keys(keys: str, rows: pa.Table, near: NearDuplicates | None) -> Sequence[str]:
    from records.stats.duplicates import duplicate_keys, find_groups, leak_keys

    if near is not None and keys == "near":
        return near.keys
    if near is not None and keys == "near-leaks":
        return near.leak_keys
    groups = find_groups(rows)
    return duplicate_keys(groups) if keys == "duplicates" else leak_keys(groups)


def _print_keys(keys: Sequence[str], *, as_json: bool) -> None:
    from records.text.keys import key_to_single_line

    print_result({"keys": keys}, [key_to_single_line(key) for key in keys], as_json=as_json)
