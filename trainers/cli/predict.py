"""The command `predict`."""

from __future__ import annotations

import csv
import sys
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from records.errors import UsageError
from records.runtime.progress import progress_bar
from trainers.cli import output
from trainers.cli.batch_predict import predict_parts
from trainers.cli.options import run_model_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from records.runtime.progress import Bar
    from trainers.jobs import ShardExecutor
    from trainers.prediction.output import FileResult
    from trainers.prediction.predictor import FilePrediction

    Writer = Callable[[FileResult], None]

_EXAMPLES = """\b
Examples:
  shardmill predict run/ new/1.jpg new/2.jpg
  shardmill predict run/ new/ --top-k 3 --csv predictions.csv --grid predictions.png
  shardmill predict run/ s3://bucket/new/ --json
  shardmill predict run/ s3://bucket/new/ --csv-parts s3://bucket/classes --runner prism
"""


@click.command(epilog=_EXAMPLES)
@click.argument("run")
@click.argument("files", nargs=-1, required=True)
@run_model_option
@click.option(
    "--top-k",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Number of classes per image.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all predictions as JSON.")
@click.option(
    "--csv",
    "csv_path",
    type=click.Path(dir_okay=False),
    help="Write one row per file to this CSV file.",
)
@click.option(
    "--grid",
    type=click.Path(dir_okay=False),
    help="Draw the first images with their best classes to this PNG file.",
)
@click.option(
    "--csv-parts",
    metavar="OUT",
    help="Classify many files in a Beam pipeline; write CSV files to this folder or URL.",
)
@click.option(
    "--runner",
    metavar="R",
    help="Runner of --csv-parts, as for convert; Beam flags follow after --.  [default: local]",
)
@click.pass_obj
def predict(
    executor: ShardExecutor,
    /,
    run: str,
    files: tuple[str, ...],
    *,
    model: str | None,
    top_k: int,
    as_json: bool,
    csv_path: str | None,
    grid: str | None,
    csv_parts: str | None,
    runner: str | None,
) -> None:
    """Classify FILES with the model of RUN.

    FILES are images and folders of images, local or as URLs.
    """
    from trainers.prediction.find_images import find_images

    if csv_parts is not None:
        if as_json or csv_path or grid:
            raise UsageError("--csv-parts excludes --json, --csv and --grid")
        predict_parts(
            executor, run, files, csv_parts, runner=runner or "local", top_k=top_k, model=model
        )
        return
    if runner is not None:
        raise UsageError("--runner requires --csv-parts")
    opened = output.open_run(run, model)
    output.note_unfinished(opened)
    found = find_images(files)
    with ExitStack() as stack:
        # Opened first, so that an output error is reported before Keras loads.
        writers = [stack.enter_context(_write_csv(csv_path, min(top_k, len(opened.labels))))]
        output.start_backend(output.ignore)

        from trainers.plots.charts import GRID_IMAGES, plot_predictions
        from trainers.prediction.predictor import Predictor

        predictions = stack.enter_context(
            closing(Predictor(opened).predict_files(found, top_k=top_k))
        )
        bar: Bar = stack.enter_context(
            progress_bar("predicting", unit="files", total=len(found), quiet=sys.stdout.isatty())
        )
        writers.append(stack.enter_context(_print_json()) if as_json else _print_line)
        classified, shown = _print_predictions(predictions, writers, bar, show=GRID_IMAGES)
    output.report_unclassified(classified, len(found))
    if grid:
        output.write(grid, plot_predictions(shown))


def _print_predictions(
    predictions: Iterable[FilePrediction],
    writers: list[Writer],
    bar: Bar,
    *,
    show: int,
) -> tuple[int, list[FilePrediction]]:
    """Write each result; return the number of classified files, and the first `show` of them."""
    from trainers.prediction.output import to_file_result

    classified = 0
    shown: list[FilePrediction] = []
    for prediction in predictions:
        result = to_file_result(prediction)
        for write in writers:
            write(result)
        bar.update()
        if prediction.rejection is None:
            classified += 1
            if len(shown) < show:
                shown.append(prediction)
    return classified, shown


def _print_line(result: FileResult) -> None:
    if result.reason is None:
        click.echo(str(result))
    else:
        output.log(str(result))


@contextmanager
def _print_json() -> Iterator[Writer]:
    """Print a JSON list of one object per file; print each object immediately."""
    from trainers.prediction.output import encode_json

    begin = "[\n"

    def print_object(result: FileResult) -> None:
        nonlocal begin
        click.echo(begin.encode() + encode_json(result), nl=False)
        begin = ",\n"

    yield print_object
    click.echo("\n]")


@contextmanager
def _write_csv(path: str | None, top_k: int) -> Iterator[Writer]:
    """Write one row per file immediately, so that a killed process leaves complete rows."""
    if path is None:
        yield lambda _: None
        return
    from trainers.prediction.output import csv_columns, csv_row

    with ExitStack() as stack:
        with output.writing(path):
            file = stack.enter_context(Path(path).open("w", newline="", encoding="utf-8"))
        rows = csv.writer(file)

        def write(row: tuple[str | int, ...]) -> None:
            with output.writing(path):
                rows.writerow(row)
                file.flush()

        write(csv_columns(top_k))
        yield lambda result: write(csv_row(result, top_k))
