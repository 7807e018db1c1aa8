"""The commands `train`, `evaluate` and `predict`: options in, text out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from records.errors import NoInputError, TargetError, UsageError
from records.text import printable
from trainers.config import TrainOptions
from trainers.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trainers.metrics import Evaluation
    from trainers.predict import Prediction, Refusal
    from trainers.predictions import FileResult
    from trainers.run_folder import Run

# Below the options, where a reader of --help looks last; \b keeps click from joining the lines.
_TRAIN_EXAMPLES = """\b
Examples:
  shardmill train data/ run/
  shardmill train data/ run/ --epochs 20 --batch-size 64 --cache memory
  KERAS_BACKEND=jax shardmill train data/ run/ --image-size 128
"""
_EVALUATE_EXAMPLES = """\b
Examples:
  shardmill evaluate run/
  shardmill evaluate run/ data/ --split validation --json
"""
_PREDICT_EXAMPLES = """\b
Examples:
  shardmill predict run/ new/1.jpg new/2.jpg
  shardmill predict run/ new/ --top-k 3 --csv predictions.csv --grid predictions.png
"""


_SIZE = re.compile(r"([1-9]\d{0,3})(?:x([1-9]\d{0,3}))?")


class _ImageSize(click.ParamType[tuple[int, int]]):
    """`H` or `HxW`, as (height, width) in pixels."""

    name = "H[xW]"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        sides = _SIZE.fullmatch(str(value))
        if sides is None:
            self.fail(f"{value!r} is no size: write 180, or 180x240 for height x width", param, ctx)
        return int(sides[1]), int(sides[2] or sides[1])


@click.command(epilog=_TRAIN_EXAMPLES)
@click.argument("target")
@click.argument("run")
@click.option(
    "--model",
    type=click.Choice(list(MODELS)),
    default="cnn",
    show_default=True,
    help="What to train.",
)
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option(
    "--image-size",
    type=_ImageSize(),
    metavar="H[xW]",
    help="Height and width in pixels; otherwise the dataset's own, or the model's.",
)
@click.option("--learning-rate", type=float, help="Adam's; otherwise the model's own.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option(
    "--cache",
    type=click.Choice(["none", "memory", "disk"]),
    default="none",
    show_default=True,
    help="Where to keep decoded images between epochs; on disk, also between runs.",
)
@click.option(
    "--validation-split",
    metavar="NAME",
    help="What to validate on; otherwise `validation`, or a tenth of train kept aside.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--quiet", is_flag=True, help="Print only the result.")
def train(target: str, run: str, *, as_json: bool, quiet: bool, **options: Any) -> None:
    """Train a model on the dataset TARGET into the new folder RUN."""
    from trainers.plan import plan_training

    say = _ignore if quiet else _say
    plan = plan_training(target, run, msgspec.convert(options, TrainOptions))
    for note in plan.notes:
        say(note)
    _start_backend(say)

    from trainers.progress import choose_progress
    from trainers.train import train as train_model

    result = train_model(plan, say=say, progress=choose_progress(quiet=quiet))
    if as_json:
        _print_json(result)
    else:
        click.echo(
            f"accuracy {result.accuracy:.1%}, validation accuracy {result.val_accuracy:.1%} "
            f"after epoch {result.epochs}, {result.seconds:.0f} s: {printable(run)}"
        )


@click.command(epilog=_EVALUATE_EXAMPLES)
@click.argument("run")
@click.argument("target", required=False)
@click.option("--split", metavar="NAME", help="Otherwise `test`, or what training validates on.")
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
def evaluate(run: str, target: str | None, split: str | None, *, as_json: bool) -> None:
    """Measure the model of RUN on a split of TARGET, by default the dataset it was trained on."""
    from trainers.run_folder import open_run

    opened = open_run(run)
    _note_unfinished(opened)
    _start_backend(_ignore)

    from trainers.evaluate import draw_confusion
    from trainers.evaluate import evaluate as evaluate_run

    evaluation = evaluate_run(opened, target, split, say=_say)
    if as_json:
        _print_json(evaluation)
    else:
        _tell_evaluation(evaluation)
    _say(f"confusion matrix: {draw_confusion(opened, evaluation)}")


@click.command(epilog=_PREDICT_EXAMPLES)
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
    _note_unfinished(opened)
    _start_backend(_ignore)

    from trainers.plots import plot_predictions
    from trainers.predict import find_images
    from trainers.predict import predict as predict_files
    from trainers.predictions import encode_csv, encode_json

    predictions = predict_files(opened, find_images(files), top_k=top_k)
    results, shown = _tell_predictions(predictions, opened.labels, say_each=not as_json)
    if as_json:
        click.echo(encode_json(results))
    if csv_path:
        _write(csv_path, encode_csv(results))
    if not shown:
        raise NoInputError("none of the files is an image", got=f"{len(results)} files")
    if grid:
        _write(grid, plot_predictions(shown, opened.labels))


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


def _start_backend(say: Callable[[str], None]) -> None:
    from trainers.devices import start_backend

    hardware = start_backend()
    say(f"running on {hardware}")
    if hardware.problem is not None:
        say(hardware.problem)


def _note_unfinished(run: Run) -> None:
    if not run.is_finished:
        _say("the training of this run has not ended: these are the weights of its last epoch")


def _say(text: str) -> None:
    click.echo(printable(text), err=True)


def _ignore(_text: str) -> None:
    """For those who want quiet."""


def _print_json(value: msgspec.Struct) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def _tell_evaluation(evaluation: Evaluation) -> None:
    width = max(len("class"), *(len(printable(each.name)) for each in evaluation.per_class))
    click.echo(f"{'class':{width}}  precision  recall  images")
    for each in evaluation.per_class:
        click.echo(
            f"{printable(each.name):{width}}  {_percent(each.precision):>9}  "
            f"{_percent(each.recall):>6}  {each.images:>6,}"
        )
    click.echo(
        f"{evaluation.split}: accuracy {evaluation.accuracy:.1%}, loss {evaluation.loss:.3f} "
        f"of {evaluation.images:,} images"
    )


def _percent(part: float | None) -> str:
    return "–" if part is None else f"{part:.1%}"


def _write(path: str, content: bytes) -> None:
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        raise TargetError("cannot be written", path=path, got=error.strerror) from error
