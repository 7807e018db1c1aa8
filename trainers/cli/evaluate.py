"""The command `evaluate`."""

from __future__ import annotations

import click

from records.cli.option_groups import GroupedCommand
from records.cli.output import print_json, print_text
from records.cli.params import Count, Location, NewFile
from records.text.formatting import pluralize
from trainers.cli import output
from trainers.cli.options import run_model_option, skip_bad_option
from trainers.options import KeptWeights, Mistakes

_EXAMPLES = """\b
Examples:
  shardmill evaluate run/
  shardmill evaluate run/ data/ --split validation --json
  shardmill evaluate run/ --csv predictions.csv
  shardmill evaluate run/ --tta 10
  shardmill evaluate s3://photos/run

Exit codes: 0 done, 2 usage error, or the dataset does not fit the run, 66 run or
dataset not found, or damaged, 73 RUN or an output file cannot be written,
74 storage failed.
"""
_DEFAULT_MISTAKES = 25


@click.command(cls=GroupedCommand, epilog=_EXAMPLES)
@click.argument("run", type=Location())
@click.argument("dataset", required=False, type=Location())
@run_model_option
@output.weights_option
@output.tta_option
@click.option(
    "--split",
    metavar="NAME",
    help="Split to evaluate on; by default test, or validation if the dataset has no test.",
)
@click.option(
    "--mistakes",
    type=Count(Mistakes),
    default=_DEFAULT_MISTAKES,
    show_default=True,
    metavar="N",
    help="Number of worst mistakes to list and draw.",
)
@click.option(
    "--explain",
    is_flag=True,
    help="Also draw which places of the worst mistakes support the prediction.",
)
@skip_bad_option("are skipped")
@click.option(
    "--csv",
    "csv_path",
    type=NewFile(),
    metavar="FILE.csv",
    help="Write the prediction for each image, and the score of each class, to this new CSV file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all metrics as JSON.")
def evaluate(
    run: str,
    dataset: str | None,
    split: str | None,
    *,
    mistakes: int,
    explain: bool,
    skip_bad: int,
    model: str | None,
    weights: KeptWeights,
    tta: int,
    csv_path: str | None,
    as_json: bool,
) -> None:
    """Evaluate the model of RUN on a split of DATASET, by default the dataset of the run.

    RUN and DATASET may be URLs (s3://, gs://, …).
    """
    from trainers.evaluation.evaluate import evaluate_plan, plan_evaluation
    from trainers.evaluation.pictures import draw_pictures

    opened = output.open_run(run, model, weights)
    plan = plan_evaluation(opened, dataset, split, skip_bad=skip_bad, views=tta)
    output.note_unfinished(plan.run)
    output.start_backend(output.ignore)

    output.log(
        f"evaluating on {pluralize(plan.selection.records, 'image')} of {plan.selection.purpose}"
    )
    evaluation = evaluate_plan(plan, mistakes=mistakes, csv=csv_path, on_message=output.log)
    if as_json:
        print_json(evaluation)
    else:
        print_text(str(evaluation))
    for drawn in draw_pictures(plan, evaluation, explain=explain):
        output.log(drawn)
