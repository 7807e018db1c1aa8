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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from records.runtime.progress import Bar
    from trainers.jobs import ShardExecutor
    from trainers.prediction.output import FileResult
    from trainers.prediction.predictor import FilePrediction

    Tell = Callable[[FileResult], None]

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
@click.option(
    "--top-k",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="How many classes to name.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option(
    "--csv",
    "csv_path",
    type=click.Path(dir_okay=False),
    help="Write a row a file here, as it goes.",
)
@click.option("--grid", type=click.Path(dir_okay=False), help="Draw the images with their classes.")
@click.option(
    "--csv-parts",
    metavar="OUT",
    help="For a collection: by a Beam pipeline, CSV files into this folder or URL.",
)
@click.option(
    "--runner",
    metavar="R",
    help="Of --csv-parts: as convert's; Beam's flags follow --.  [default: local]",
)
@click.pass_obj
def predict(
    services: ShardExecutor,
    /,
    run: str,
    files: tuple[str, ...],
    *,
    top_k: int,
    as_json: bool,
    csv_path: str | None,
    grid: str | None,
    csv_parts: str | None,
    runner: str | None,
) -> None:
    """Classify image FILES, or all images in folders, with the model of RUN; URLs too."""
    from trainers.prediction.find_images import find_images
    from trainers.runs.run_dir import open_run

    if csv_parts is not None:
        if as_json or csv_path or grid:
            raise UsageError("--csv-parts excludes --json, --csv and --grid")
        predict_parts(services, run, files, csv_parts, runner=runner or "local", top_k=top_k)
        return
    if runner is not None:
        raise UsageError("--runner is for --csv-parts")
    opened = open_run(run)
    output.note_unfinished(opened)
    found = find_images(files)
    with ExitStack() as stack:
        # Before anything is loaded: a file that cannot be written is said at once.
        tells = [stack.enter_context(_write_csv(csv_path, min(top_k, len(opened.labels))))]
        output.start_backend(output.ignore)

        from trainers.plots.charts import GRID_IMAGES, plot_predictions
        from trainers.prediction.predictor import Predictor

        answers = stack.enter_context(closing(Predictor(opened).predict_files(found, top_k=top_k)))
        bar: Bar = stack.enter_context(
            progress_bar("predicting", unit="files", total=len(found), quiet=sys.stdout.isatty())
        )
        tells.append(stack.enter_context(_print_json()) if as_json else _print_line)
        classified, shown = _tell_answers(answers, tells, bar, show=GRID_IMAGES)
    output.tell_unclassified(classified, len(found))
    if grid:
        output.write(grid, plot_predictions(shown))


def _tell_answers(
    answers: Iterable[FilePrediction],
    tells: list[Tell],
    bar: Bar,
    *,
    show: int,
) -> tuple[int, list[FilePrediction]]:
    """How many files were classified, and the first of them; each is told as it comes."""
    from trainers.prediction.output import to_file_result

    classified = 0
    shown: list[FilePrediction] = []
    for answer in answers:
        result = to_file_result(answer)
        for tell in tells:
            tell(result)
        bar.update()
        if answer.rejection is None:
            classified += 1
            if len(shown) < show:
                shown.append(answer)
    return classified, shown


def _print_line(result: FileResult) -> None:
    if result.reason is None:
        click.echo(str(result))
    else:
        output.say(str(result))


@contextmanager
def _print_json() -> Iterator[Tell]:
    """A list with an object a file, printed one by one."""
    from trainers.prediction.output import encode_json

    begin = "[\n"

    def print_object(result: FileResult) -> None:
        nonlocal begin
        click.echo(begin.encode() + encode_json(result), nl=False)
        begin = ",\n"

    yield print_object
    click.echo("\n]")


@contextmanager
def _write_csv(path: str | None, top_k: int) -> Iterator[Tell]:
    """Write a row a file, each at once, so that whoever is killed has those before."""
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
