"""The command `evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from records.text import printable
from trainers.cli import console

if TYPE_CHECKING:
    from trainers.metrics import Evaluation

_EXAMPLES = """\b
Examples:
  shardmill evaluate run/
  shardmill evaluate run/ data/ --split validation --json
"""


@click.command(epilog=_EXAMPLES)
@click.argument("run")
@click.argument("target", required=False)
@click.option("--split", metavar="NAME", help="Otherwise `test`, or what training validates on.")
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
def evaluate(run: str, target: str | None, split: str | None, *, as_json: bool) -> None:
    """Measure the model of RUN on a split of TARGET, by default the dataset it was trained on."""
    from trainers.run_folder import open_run

    opened = open_run(run)
    console.note_unfinished(opened)
    console.start_backend(console.ignore)

    from trainers.evaluate import draw_confusion
    from trainers.evaluate import evaluate as evaluate_run

    evaluation = evaluate_run(opened, target, split, say=console.say)
    if as_json:
        console.print_json(evaluation)
    else:
        _tell_evaluation(evaluation)
    console.say(f"confusion matrix: {draw_confusion(opened, evaluation)}")


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
