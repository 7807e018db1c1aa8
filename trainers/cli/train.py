"""The command `train`."""

from __future__ import annotations

import re
from typing import Any

import click
import msgspec

from records.text import printable
from trainers.cli import console
from trainers.models import MODELS
from trainers.options import TrainOptions

_EXAMPLES = """\b
Examples:
  shardmill train data/ run/
  shardmill train data/ run/ --epochs 20 --batch-size 64 --cache memory
  KERAS_BACKEND=jax shardmill train data/ run/ --image-size 128
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


@click.command(epilog=_EXAMPLES)
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

    say = console.ignore if quiet else console.say
    plan = plan_training(target, run, msgspec.convert(options, TrainOptions))
    for note in plan.notes:
        say(note)
    console.start_backend(say)

    from trainers.progress import choose_progress
    from trainers.train import train as train_model

    result = train_model(plan, say=say, progress=choose_progress(quiet=quiet))
    if as_json:
        console.print_json(result)
    else:
        click.echo(
            f"accuracy {result.accuracy:.1%}, validation accuracy {result.val_accuracy:.1%} "
            f"after epoch {result.epochs}, {result.seconds:.0f} s: {printable(run)}"
        )
