"""The command `doctor`."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import click

from records.cli.option_groups import GroupedCommand
from records.cli.output import print_json, print_text
from records.cli.params import Location, PositiveNumber
from records.errors import UsageError
from trainers.cli import output
from trainers.cli.options import train_options
from trainers.options import TrainOptions

if TYPE_CHECKING:
    from trainers.doctor.doctor import Diagnosis
    from trainers.training.planning import TrainingPlan

_EXAMPLES = """\b
Examples:
  shardmill doctor
  shardmill doctor data/
  shardmill doctor data/ --model mobilenet_v2 --augment flip,rotate=20 --batch-size 64
  shardmill doctor data/ --model vgg16 --mode finetune --unfreeze 4
  shardmill doctor s3://bucket/data --json > doctor.json

Exit codes: 0 done, 1 a GPU exists and is not used, 66 no finished dataset.
"""


@click.command(cls=GroupedCommand, epilog=_EXAMPLES)
@click.argument("dataset", required=False, type=Location())
@train_options(
    "--target",
    "--model",
    "--mode",
    "--unfreeze",
    "--image-size",
    "--augment",
    "--optimizer",
    "--precision",
    "--jit/--no-jit",
    "--batch-size",
)
@click.option(
    "--seconds",
    type=PositiveNumber(),
    default=3.0,
    show_default=True,
    metavar="S",
    help="Number of seconds for which each stage is timed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all results as JSON.")
@click.pass_context
def doctor(
    context: click.Context,
    /,
    dataset: str | None,
    *,
    seconds: float,
    as_json: bool,
    **options: Any,
) -> None:
    """Show versions and devices, and the slowest stage of training on DATASET.

    The command times the input stages and the training step of `train`. It writes nothing.
    """
    from trainers.training.planning.option_checks import complete_options

    default = click.core.ParameterSource.DEFAULT
    given = {name for name in options if context.get_parameter_source(name) is not default}
    # Speed does not depend on weights. With a head phase, only that phase would be timed.
    requested = complete_options(
        TrainOptions(**options, weights="none", head_epochs=0), given | {"weights", "head_epochs"}
    )
    plan = None if dataset is None else _plan(dataset, requested)
    output.start_backend(output.ignore)

    from trainers.doctor.doctor import diagnose_machine, diagnose_training

    diagnosis = diagnose_machine()
    if not as_json:
        _print_machine(diagnosis)
    if plan is not None:
        diagnosis = diagnose_training(diagnosis, plan, seconds=seconds, on_message=output.log)
        if not as_json:
            _print_training(diagnosis)
    if as_json:
        print_json(diagnosis)
    context.exit(1 if diagnosis.devices.problem else 0)


def _plan(dataset: str, options: TrainOptions) -> TrainingPlan:
    from trainers.training.planning import plan_training

    # A plan needs an empty folder for its run, but this plan never runs.
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_training(dataset, folder, options)
    if plan.reads_features(plan.phases[0]):
        raise UsageError(
            "the input has no stages to time: without --augment, a head trains on stored features",
            got=f"--mode {options.mode}",
            hint="add --augment, or use a different --mode",
        )
    return plan


def _print_machine(diagnosis: Diagnosis) -> None:
    from trainers.doctor.system_info import describe_system

    for name, fact in describe_system(diagnosis.versions, diagnosis.devices):
        print_text(f"{name:10}  {fact}")


def _print_training(diagnosis: Diagnosis) -> None:
    from trainers.doctor.diagnose import draw_table

    measured = diagnosis.measured
    assert measured is not None
    size = f"{measured.height_px}x{measured.width_px}"
    print_text(
        f"\n{measured.model}, {measured.mode}, on {measured.dataset}, "
        f"batches of {measured.batch_size} at {size}, {measured.precision}"
    )
    for line in draw_table(diagnosis.stages):
        print_text(line)
    print_text(diagnosis.conclusion or "")
