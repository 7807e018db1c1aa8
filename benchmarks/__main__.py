"""Command line of the benchmarks: `python -m benchmarks --help`."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.harness import environments
from benchmarks.harness.process import ProcessError
from benchmarks.harness.samples import read_result, result_path, write_result
from benchmarks.harness.settings import FULL, QUICK, TRY, Setting
from benchmarks.page.page import fill, make_tables, read_results
from benchmarks.page.plot import plot_results
from benchmarks.registry import BENCHMARKS, choose, run

if TYPE_CHECKING:
    from collections.abc import Iterable

_ROOT = Path(__file__).resolve().parents[1]
_SCALES = {"full": FULL, "quick": QUICK, "try": TRY}
_PAGES = (
    "explanation/performance.md",
    "how-to/label-errors.md",
    "how-to/prediction.md",
    "how-to/serving.md",
    "how-to/training.md",
)
_PICTURES = _ROOT / "docs" / "pictures"
_EPILOG = """\b
Examples:
  python -m benchmarks environments
  python -m benchmarks run --scale quick
  python -m benchmarks run conversion --only convert --only loop
  python -m benchmarks page
"""
_FOLDER = click.Path(path_type=Path, file_okay=False)
_CACHE = click.option(
    "--cache",
    type=_FOLDER,
    default=_ROOT / ".bench",
    help="Folder of the environments and the data.  [.bench]",
)


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure shardmill and its peers, and write the results as JSON, tables and plots."""


@main.command("environments")
@click.argument("names", nargs=-1, type=click.Choice(environments.list_environments()))
@_CACHE
def make_environments(names: tuple[str, ...], cache: Path) -> None:
    """Create the environments of all peers, or the named environments. Keep existing ones."""
    for name in names or environments.list_environments():
        click.echo(environments.make_environment(name, cache.resolve()))


@main.command("run")
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--scale", type=click.Choice(list(_SCALES)), default="full", show_default=True)
@click.option(
    "--only",
    multiple=True,
    metavar="PART",
    help="Measure only contestants whose name contains PART.",
)
@click.option(
    "--add",
    is_flag=True,
    help="Keep the stored samples of other contestants: for accuracies, not for times.",
)
@click.option(
    "--data",
    type=_FOLDER,
    envvar="SHARDMILL_TEST_DATA",
    default=_ROOT.parent / "shared" / "data",
    help="Folder of real images.",
)
@_CACHE
@click.option("--results", type=_FOLDER, help="Folder of the results.  [CACHE/results-SCALE]")
@click.option("--dry-run", is_flag=True, help="List the measurements without running them.")
def run_benchmarks(
    names: tuple[str, ...],
    *,
    scale: str,
    only: tuple[str, ...],
    add: bool,
    data: Path,
    cache: Path,
    results: Path | None,
    dry_run: bool,
) -> None:
    """Run all benchmarks, or the named benchmarks, and print their tables."""
    setting = Setting(_SCALES[scale], data.resolve(), cache.resolve())
    folder = results or cache / f"results-{scale}"
    chosen = choose(names, setting.data)
    if dry_run:
        click.echo(f"{', '.join(chosen)}: {setting.scale}, results in {folder}")
        return
    if only and not add:
        _require_no_results(chosen, folder)
    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    started = time.monotonic()
    for name in chosen:
        try:
            result, path = run(name, setting, command, only), result_path(name, folder)
            if add and path.exists():
                result = read_result(path).adding(result)
            write_result(result, folder)
        except ProcessError as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"{name}: {time.monotonic() - started:.0f} s so far", err=True)
    for name, table in make_tables(read_results(folder)).items():
        click.echo(f"\n{name}\n\n{table}")


def _require_no_results(names: Iterable[str], folder: Path) -> None:
    """Raise UsageError if a result would be replaced by one of fewer contestants."""
    for name in names:
        path = result_path(name, folder)
        if path.exists():
            raise click.UsageError(
                f"{path} has all contestants: use another --results, or --add for accuracies"
            )


@main.command("page")
@click.option("--results", type=_FOLDER, default=_ROOT / "benchmarks" / "results")
def write_page(results: Path) -> None:
    """Write the tables and the plots of the documentation."""
    found = read_results(results)
    for page in (_ROOT / "docs" / name for name in _PAGES):
        page.write_text(fill(page.read_text(), make_tables(found)))
    plot_results(found, _PICTURES)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
