"""The command `predict`."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing, contextmanager
from itertools import takewhile
from typing import TYPE_CHECKING

import click
import msgspec

from records.arguments import Positive
from records.cli.output import print_text, write_json
from records.cli.params import Count, Location, NewFile
from records.errors import UsageError
from records.runtime.progress import progress_bar
from records.runtime.standard_streams import stdout_error
from records.storage.errors import HINT_FIX, translate_write_errors
from records.storage.exclusive import open_new_file, write_new_file
from records.text.csv_rows import encode_csv_row
from trainers.cli import output
from trainers.cli.batch_predict import predict_parts
from trainers.cli.options import run_model_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from records.runtime.progress import Bar
    from trainers.jobs import ShardExecutor
    from trainers.options import KeptWeights, RejectBelow
    from trainers.prediction.file_evaluation import FileScoring
    from trainers.prediction.image_files import ImageFile
    from trainers.prediction.output import FileResult
    from trainers.prediction.result import FilePrediction
    from trainers.runs.run_dir import Run

    Writer = Callable[[FileResult], None]

_EXAMPLES = """\b
Examples:
  shardmill predict run/ new/1.jpg new/2.jpg
  shardmill predict run/ new/ --top-k 3 --csv predictions.csv --grid predictions.png
  shardmill predict run/ new/ --grid explained.png --explain
  shardmill predict run/ labelled/ --truth --csv predictions.csv
  shardmill predict run/ new/ --reject-below auto
  shardmill predict s3://bucket/run s3://bucket/new/ --json
  shardmill predict run/ s3://bucket/new/ --csv-parts s3://bucket/classes --runner prism

Exit codes: 0 done, also if some files have no prediction, 2 usage error, 66 run
or files not found, or no file has a prediction, 73 an output file exists or
cannot be written, 74 storage failed, 75 output in use by another run.
"""


@click.command(epilog=_EXAMPLES)
@click.argument("run", type=Location())
@click.argument("files", nargs=-1, required=True, type=Location())
@run_model_option
@output.weights_option
@click.option(
    "--top-k",
    type=Count(Positive),
    default=1,
    show_default=True,
    metavar="N",
    help="Number of classes per image, if RUN predicts classes.",
)
@output.reject_below_option
@output.tta_option
@click.option("--json", "as_json", is_flag=True, help="Print all predictions as JSON.")
@click.option(
    "--csv",
    "csv_path",
    type=NewFile(),
    metavar="FILE.csv",
    help="Write one row per file to this new CSV file.",
)
@click.option(
    "--grid",
    type=NewFile(".png"),
    metavar="FILE.png",
    help="Draw the first images with their predictions to this new file.",
)
@click.option(
    "--explain",
    is_flag=True,
    help="Show in the pictures of --grid which places of an image support the best class.",
)
@click.option(
    "--truth",
    is_flag=True,
    help="Compare the predictions with the true classes, which are the names of the folders of "
    "FILES: accuracy, metrics of each class, and the classes that are confused.",
)
@click.option(
    "--csv-parts",
    type=Location(),
    metavar="OUT",
    help="Predict many files in a Beam pipeline; write CSV files to this folder or URL.",
)
@click.option(
    "--runner",
    metavar="NAME",
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
    weights: KeptWeights,
    top_k: int,
    reject_below: RejectBelow | None,
    tta: int,
    as_json: bool,
    csv_path: str | None,
    grid: str | None,
    explain: bool,
    truth: bool,
    csv_parts: str | None,
    runner: str | None,
) -> None:
    """Predict the classes of FILES, or a number for each, with the model of RUN.

    FILES are images and folders of images, local or as URLs. RUN may also be a URL.
    """
    from trainers.prediction.file_evaluation import FileScoring
    from trainers.prediction.image_files import find_images
    from trainers.prediction.option_checks import check_reject_below, check_top_k

    _check_outputs(grid, csv_parts, runner, explain=explain)
    if csv_parts is not None:
        if csv_path or grid or truth or tta > 1:
            raise UsageError("--csv-parts excludes --csv, --grid, --truth and --tta")
        predict_parts(
            executor,
            run,
            files,
            csv_parts,
            runner=runner or "local",
            top_k=top_k,
            weights=weights,
            reject_below=reject_below,
            model=model,
            as_json=as_json,
        )
        return
    opened = output.open_run(run, model, weights)
    check_top_k(top_k, opened)
    check_reject_below(opened, reject_below)
    output.note_unfinished(opened)
    found = find_images(files)
    scoring = FileScoring(opened, found) if truth else None
    _predict_files(
        opened,
        found,
        scoring,
        top_k=top_k,
        reject_below=reject_below,
        tta=tta,
        as_json=as_json,
        csv_path=csv_path,
        grid=grid,
        explain=explain,
    )
    if scoring is not None and not as_json and stdout_error() is None:
        print_text(f"\n{scoring.summarize()}")


def _check_outputs(
    grid: str | None, csv_parts: str | None, runner: str | None, *, explain: bool
) -> None:
    """Raise UsageError if an option has no effect without another one."""
    if explain and grid is None:
        raise UsageError(
            "--explain needs --grid: the picture with the explanations",
            hint="add --grid explained.png",
        )
    if runner is not None and csv_parts is None:
        raise UsageError("--runner requires --csv-parts")


def _predict_files(
    run: Run,
    found: Sequence[ImageFile],
    scoring: FileScoring | None,
    *,
    top_k: int,
    reject_below: RejectBelow | None,
    tta: int,
    as_json: bool,
    csv_path: str | None,
    grid: str | None,
    explain: bool,
) -> None:
    """Write the predictions for files; see the options of `predict`."""
    truth, rejects = scoring is not None, reject_below is not None
    rows = _write_csv(csv_path, run, top_k=top_k, truth=truth, rejects=rejects)
    with ExitStack() as stack:
        # Opened first, so that an output error is reported before Keras loads.
        writers = [stack.enter_context(rows)]
        output.start_backend(output.ignore)

        from trainers.plots.charts import GRID_IMAGES, plot_predictions
        from trainers.prediction.predictor import Predictor

        predictor = Predictor(run, reject_below=reject_below, tta=tta)
        predictions: Iterable[FilePrediction] = stack.enter_context(
            closing(predictor.predict_files(found, top_k=top_k, explain=explain))
        )
        if scoring is not None:
            predictions = scoring.attach(predictions)
        bar: Bar = stack.enter_context(
            progress_bar("predicting", unit="files", total=len(found), quiet=sys.stdout.isatty())
        )
        writers.append(stack.enter_context(_print_json(scoring)) if as_json else _print_line)
        if csv_path is None and grid is None:
            predictions = takewhile(lambda _: stdout_error() is None, predictions)
        predicted, shown = _print_predictions(predictions, writers, bar, show=GRID_IMAGES)
    if stdout_error() is None:
        output.report_missing_predictions(predicted, len(found))
    if grid:
        write_new_file(grid, plot_predictions(shown))


def _print_predictions(
    predictions: Iterable[FilePrediction],
    writers: list[Writer],
    bar: Bar,
    *,
    show: int,
) -> tuple[int, list[FilePrediction]]:
    """Write each result; return the number of predictions, and the first `show` of them."""
    from trainers.prediction.output import to_file_result

    predicted = 0
    shown: list[FilePrediction] = []
    for prediction in predictions:
        result = to_file_result(prediction)
        for write in writers:
            write(result)
        bar.update()
        if prediction.rejection is None:
            predicted += 1
            if len(shown) < show:
                shown.append(prediction)
    return predicted, shown


def _print_line(result: FileResult) -> None:
    if result.reason is None:
        print_text(str(result))
    else:
        output.log(str(result))


@contextmanager
def _print_json(scoring: FileScoring | None) -> Iterator[Writer]:
    """Print a JSON list of one object per file; print each object immediately.

    If predictions are compared with true classes, the list is in an object with the result.
    """
    from trainers.prediction.output import encode_json

    begin = "[\n" if scoring is None else '{"predictions":[\n'

    def print_object(result: FileResult) -> None:
        nonlocal begin
        write_json(begin.encode() + encode_json(result))
        begin = ",\n"

    yield print_object
    if scoring is None:
        write_json(b"\n]\n")
    else:
        summary = msgspec.json.encode(scoring.summarize())
        write_json(b'\n],\n"summary":' + summary + b"}\n")


@contextmanager
def _write_csv(
    path: str | None, run: Run, *, top_k: int, truth: bool, rejects: bool
) -> Iterator[Writer]:
    """Write one row per file immediately, so that a killed process leaves complete rows."""
    if path is None:
        yield lambda _: None
        return
    from trainers.prediction.output import csv_columns, csv_row

    top_k, task = min(top_k, len(run.labels)), run.config.task
    header = csv_columns(top_k, task, truth=truth, rejects=rejects)
    with open_new_file(path) as file:

        def write(result: FileResult) -> None:
            with translate_write_errors(path, hint=HINT_FIX):
                # Without a row, the file stays empty and is removed if an error follows.
                if not file.tell():
                    file.write(encode_csv_row(header))
                row = csv_row(result, top_k, task, truth=truth, rejects=rejects)
                file.write(encode_csv_row(row))
                file.flush()

        yield write
