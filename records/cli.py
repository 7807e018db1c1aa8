"""The commands `inspect`, `verify`, `salvage` and `stats`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from records.errors import TargetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from records.dataset import Dataset
    from records.reports.near_duplicates import NearDuplicates
    from records.reports.stats import Stats

# Below the options, where a reader of --help looks last; \b keeps click from joining the lines.
_INSPECT_EPILOG = """\b
Examples:
  shardmill inspect data/
  shardmill inspect data/ --grid sheet.png
  shardmill inspect train.tfrecord --limit 1000

Exit codes: 0 done, 66 neither a dataset nor a file.
"""
_VERIFY_EPILOG = """\b
Examples:
  shardmill verify data/
  shardmill verify data/ --decode --json > findings.json

Exit codes: 0 nothing found, 1 findings, 66 neither a dataset nor a file.
"""
_SALVAGE_EPILOG = """\b
Examples:
  shardmill salvage data/train-00003-of-00008.tfrecord whole.tfrecord
  shardmill salvage train.record whole.record --json > lost.json

Exit codes: 0 nothing lost, 1 something lost, 66 no such file, 73 OUT cannot be written.
"""
_STATS_EPILOG = """\b
Examples:
  shardmill stats data/
  shardmill stats data/ --plot stats.png
  shardmill stats data/ --keys leaks > leaks.txt
  shardmill convert photos/ data2/ --test 0.2 --exclude leaks.txt
  shardmill stats data/ --near --grid pairs.png

Exit codes: 0 done, 66 no finished dataset.
"""
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command(epilog=_INSPECT_EPILOG)
@click.argument("target")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="How many records of a file to look at.",
)
@click.option("--grid", metavar="OUT.png", help="Draw some images of each class.")
@json_option
def inspect(target: str, limit: int, grid: str | None, as_json: bool) -> None:
    """Show what a TFRecord file or a dataset holds.

    TARGET is a dataset, or one TFRecord file of anybody's: plain, GZIP or ZLIB, with Examples,
    SequenceExamples or other bytes in its records.
    """
    from records.reports import inspection

    _check_picture(grid)
    inspected = inspection.inspect(target, limit=limit)
    if grid is not None:
        _write_picture(grid, inspected.draw_grid())
    print_facts(inspected.facts(), inspected.lines(), as_json=as_json)


@click.command(epilog=_VERIFY_EPILOG)
@click.argument("target")
@click.option("--decode", is_flag=True, help="Decode every image of a dataset too.")
@json_option
def verify(target: str, decode: bool, as_json: bool) -> None:
    """Check every checksum, count and size of a dataset.

    TARGET is a dataset, or one TFRecord file of anybody's. Each finding is a line: its kind, where
    it is, what is wrong. Reading goes on after it.
    """
    from records.progress import open_bar
    from records.reports.verify import check_files
    from records.reports.verify_text import Summary

    summary = Summary(target)
    with open_bar("verifying", unit="B") as bar:
        for checked in check_files(target, decode=decode):
            summary.add(checked)
            bar.update(checked.size_bytes)
            for finding in [] if as_json else checked.findings:
                bar.write(str(finding), file=sys.stdout)
    print_facts(summary.facts(), [str(summary)], as_json=as_json)
    click.get_current_context().exit(1 if summary.findings else 0)


@click.command(epilog=_SALVAGE_EPILOG)
@click.argument("shard")
@click.argument("out")
@click.option("--dry-run", is_flag=True, help="Say what is lost, and write nothing.")
@json_option
def salvage(shard: str, out: str, dry_run: bool, as_json: bool) -> None:
    """Copy every whole record of a damaged TFRecord file into a new one.

    SHARD is a file of a dataset or of anybody's: plain, GZIP or ZLIB. The index beside it, if there
    is one, names what is lost. OUT is a new file, there whole or not at all; SHARD stays as it is.
    """
    from records.progress import open_bar
    from records.reports.salvage import salvage as copy_whole_records
    from records.reports.salvage_text import show_salvage

    with open_bar("reading", unit="B") as bar:
        report = copy_whole_records(shard, out, dry_run=dry_run, on_bytes=bar.update)
    print_facts(report, show_salvage(report), as_json=as_json)
    click.get_current_context().exit(1 if report.lost else 0)


@click.command(epilog=_STATS_EPILOG)
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
    from records.reports import stats as figures

    _check_picture(plot)
    _check_picture(grid)
    near = near or keys in {"near", "near-leaks"}
    if grid is not None and not near:
        raise UsageError("--grid draws near-duplicates", hint="add --near")
    dataset = open_dataset(target)
    rows = figures.read_rows(dataset)
    found = _find_near(dataset, rows) if near else None
    if found is not None and grid is not None:
        from records.reports.near_grid import draw_pairs

        _write_picture(grid, draw_pairs(dataset, found))
    if keys is not None:
        _print_keys(_choose_keys(keys, rows, found), as_json=as_json)
        return
    computed = figures.compute_stats(dataset, rows)
    if plot is not None:
        from records.reports.plot import draw_stats

        _write_picture(plot, draw_stats(computed, rows))
    _print_stats(computed, found, target, as_json=as_json)


def _print_stats(
    computed: Stats, found: NearDuplicates | None, target: str, *, as_json: bool
) -> None:
    from records.reports.stats_text import show_stats

    lines = show_stats(computed, target)
    if found is None:
        print_facts(computed, lines, as_json=as_json)
        return
    import msgspec

    from records.reports.near_text import show_near

    facts = {**msgspec.structs.asdict(computed), "near": found}
    print_facts(facts, [*lines, *show_near(found, computed.labels)], as_json=as_json)


def _find_near(dataset: Dataset, rows: pa.Table) -> NearDuplicates:
    from records.progress import open_bar, show_progress
    from records.reports.near_duplicates import find_near
    from records.reports.picture_hashing import PictureHashing

    with open_bar("hashing", unit="images", total=len(rows)) as bar:
        hashing = PictureHashing(dataset, bar.update)
        hashes = hashing.run()
    if hashing.not_kept is not None:
        click.echo(f"shardmill: the hashes are not kept: {hashing.not_kept}", err=True)
    with show_progress("searching", unit="parts", quiet=False) as show:
        return find_near(rows, hashes, show)


def _choose_keys(keys: str, rows: pa.Table, near: NearDuplicates | None) -> Sequence[str]:
    from records.reports.duplicates import duplicate_keys, find_groups, leak_keys

    if near is not None and keys == "near":
        return near.keys
    if near is not None and keys == "near-leaks":
        return near.leak_keys
    groups = find_groups(rows)
    return duplicate_keys(groups) if keys == "duplicates" else leak_keys(groups)


def _print_keys(keys: Sequence[str], *, as_json: bool) -> None:
    from records.text import key_to_line

    print_facts({"keys": keys}, [key_to_line(key) for key in keys], as_json=as_json)


def print_facts(facts: Any, lines: list[str], *, as_json: bool) -> None:
    """Print what a command found, as people read it or as JSON."""
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(facts)))
    elif lines:
        click.echo("\n".join(lines))


def _check_picture(path: str | None) -> None:
    if path is not None and not path.lower().endswith(".png"):
        raise UsageError("pictures are written as PNG", expected="a name with .png", got=path)


def _write_picture(path: str, content: bytes) -> None:
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        raise TargetError("cannot be written", path=path, got=error.strerror) from error
