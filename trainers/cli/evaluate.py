"""The command `evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from records.text.escaping import escape_for_display
from trainers.cli import output

if TYPE_CHECKING:
    from trainers.evaluation.metrics import Evaluation

_EXAMPLES = """\b
Examples:
  shardmill evaluate run/
  shardmill evaluate run/ data/ --split validation --json
"""
_MOST_MISTAKES = 100
_USUAL_MISTAKES = 25


@click.command(epilog=_EXAMPLES)
@click.argument("run")
@click.argument("target", required=False)
@click.option("--split", metavar="NAME", help="Otherwise `test`, or what training validates on.")
@click.option(
    "--mistakes",
    type=click.IntRange(0, _MOST_MISTAKES),
    default=_USUAL_MISTAKES,
    show_default=True,
    metavar="N",
    help="How many of the worst mistakes to name and draw.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
def evaluate(
    run: str, target: str | None, split: str | None, *, mistakes: int, as_json: bool
) -> None:
    """Measure the model of RUN on a split of TARGET, by default the dataset it was trained on."""
    from trainers.evaluation.evaluate import plan_evaluation
    from trainers.runs.run_dir import open_run

    plan = plan_evaluation(open_run(run), target, split)
    output.note_unfinished(plan.run)
    output.start_backend(output.ignore)

    from trainers.evaluation.evaluate import draw_pictures
    from trainers.evaluation.evaluate import evaluate as evaluate_plan

    output.say(f"evaluating on {plan.selection.records:,} images of {plan.selection.purpose}")
    evaluation = evaluate_plan(plan, mistakes=mistakes, say=output.say)
    if as_json:
        output.print_json(evaluation)
    else:
        _tell_evaluation(evaluation)
    for drawn in draw_pictures(plan, evaluation):
        output.say(drawn)


def _tell_evaluation(evaluation: Evaluation) -> None:
    width = max(
        len("class"), *(len(escape_for_display(each.name)) for each in evaluation.per_class)
    )
    click.echo(f"{'class':{width}}  precision  recall      F1  images")
    for each in evaluation.per_class:
        click.echo(
            f"{escape_for_display(each.name):{width}}  {_percent(each.precision):>9}  "
            f"{_percent(each.recall):>6}  {_percent(each.f1):>6}  {each.images:>6,}"
        )
    top_5 = evaluation.top_5_accuracy
    click.echo(
        f"{evaluation.split}: accuracy {evaluation.accuracy:.1%}, "
        f"{'' if top_5 is None else f'top-5 accuracy {top_5:.1%}, '}"
        f"loss {evaluation.loss:.3f} of {evaluation.images:,} images"
    )
    click.echo(f"expected calibration error {evaluation.calibration.expected_error:.1%}")


def _percent(part: float | None) -> str:
    return "–" if part is None else f"{part:.1%}"
