"""The command `evaluate`."""

from __future__ import annotations

import click

from trainers.cli import output

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
    from trainers.evaluation.evaluate import draw_pictures, evaluate_plan, plan_evaluation
    from trainers.runs.run_dir import open_run

    plan = plan_evaluation(open_run(run), target, split)
    output.note_unfinished(plan.run)
    output.start_backend(output.ignore)

    output.say(f"evaluating on {plan.selection.records:,} images of {plan.selection.purpose}")
    evaluation = evaluate_plan(plan, mistakes=mistakes, on_message=output.say)
    if as_json:
        output.print_json(evaluation)
    else:
        click.echo(str(evaluation))
    for drawn in draw_pictures(plan, evaluation):
        output.say(drawn)
