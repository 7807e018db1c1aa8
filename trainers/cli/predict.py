"""The command `predict`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from records.errors import NoInputError, UsageError
from trainers.cli import console

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trainers.predict import Prediction, Refusal
    from trainers.predictions import FileResult

_EXAMPLES = """\b
Examples:
  shardmill predict run/ new/1.jpg new/2.jpg
  shardmill predict run/ new/ --top-k 3 --csv predictions.csv --grid predictions.png
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
    "--csv", "csv_path", type=click.Path(dir_okay=False), help="Write a row a class here."
)
@click.option("--grid", type=click.Path(dir_okay=False), help="Draw the images with their classes.")
def predict(
    run: str,
    files: tuple[str, ...],
    *,
    top_k: int,
    as_json: bool,
    csv_path: str | None,
    grid: str | None,
) -> None:
    """Classify image FILES, or all images in folders, with the model of RUN."""
    from trainers.run_folder import open_run

    if as_json and csv_path:
        raise UsageError("--json prints and --csv writes the same", hint="choose one")
    opened = open_run(run)
    console.note_unfinished(opened)
    console.start_backend(console.ignore)

    from trainers.plots import plot_predictions
    from trainers.predict import find_images
    from trainers.predict import predict as predict_files
    from trainers.predictions import encode_csv, encode_json

    predictions = predict_files(opened, find_images(files), top_k=top_k)
    results, shown = _tell_predictions(predictions, opened.labels, say_each=not as_json)
    if as_json:
        click.echo(encode_json(results))
    if csv_path:
        console.write(csv_path, encode_csv(results))
    if not shown:
        raise NoInputError("none of the files is an image", got=f"{len(results)} files")
    if grid:
        console.write(grid, plot_predictions(shown, opened.labels))


def _tell_predictions(
    predictions: Iterable[Prediction | Refusal], labels: tuple[str, ...], *, say_each: bool
) -> tuple[list[FileResult], list[Prediction]]:
    """Every file's result, and the predictions that a grid shows; each is told as it comes."""
    from trainers.plots import GRID_IMAGES
    from trainers.predict import Prediction
    from trainers.predictions import describe_result

    results: list[FileResult] = []
    shown: list[Prediction] = []
    for prediction in predictions:
        result = describe_result(prediction, labels)
        results.append(result)
        if say_each:
            click.echo(str(result), err=result.reason is not None)
        if isinstance(prediction, Prediction) and len(shown) < GRID_IMAGES:
            shown.append(prediction)
    return results, shown
