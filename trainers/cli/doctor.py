"""The command `doctor`."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import click

from records.errors import UsageError
from records.text.escaping import escape_for_display
from trainers.cli import output
from trainers.cli.options import train_options
from trainers.options import TrainOptions

if TYPE_CHECKING:
    from trainers.doctor.doctor import Diagnosis
    from trainers.training.plan import TrainingPlan

_EXAMPLES = """\b
Examples:
  shardmill doctor
  shardmill doctor data/
  shardmill doctor data/ --model mobilenet_v2 --augment flip,rotate=20 --batch-size 64
  shardmill doctor data/ --model vgg16 --mode finetune --unfreeze 4
  shardmill doctor s3://bucket/data --json > doctor.json

Exit codes: 0 done, 1 a GPU is there and not used, 66 no finished dataset.
"""


@click.command(epilog=_EXAMPLES)
@click.argument("target", required=False)
@train_options(
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
    type=click.FloatRange(0, min_open=True),
    default=3.0,
    show_default=True,
    metavar="S",
    help="How long to time each stage.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
@click.pass_context
def doctor(
    context: click.Context,
    /,
    target: str | None,
    *,
    seconds: float,
    as_json: bool,
    **options: Any,
) -> None:
    """Show versions and devices, and which stage holds back a training on the dataset TARGET.

    The stages of the input, and the training step, are timed as `train` would run them. Nothing is
    written.
    """
    # Speed does not depend on weights, and a head that trained first would not be timed.
    asked = TrainOptions(**options, weights="none", head_epochs=0)
    plan = None if target is None else _plan(target, asked)
    output.start_backend(output.ignore)

    from trainers.doctor.doctor import diagnose_machine, diagnose_training

    diagnosis = diagnose_machine()
    if not as_json:
        _tell_machine(diagnosis)
    if plan is not None:
        diagnosis = diagnose_training(diagnosis, plan, seconds=seconds, say=output.say)
        if not as_json:
            _tell_training(diagnosis)
    if as_json:
        output.print_json(diagnosis)
    context.exit(1 if diagnosis.devices.problem else 0)


def _plan(target: str, options: TrainOptions) -> TrainingPlan:
    from trainers.training.plan import plan_training

    # A plan wants a free folder for its run; this one is not carried out.
    with tempfile.TemporaryDirectory() as nowhere:
        plan = plan_training(target, nowhere, options)
    if plan.reads_features(plan.phases[0]):
        raise UsageError(
            "without --augment a head trains from features that are kept: nothing holds it back",
            got=f"--mode {options.mode}",
            hint="add --augment, or ask for another mode",
        )
    return plan


def _tell_machine(diagnosis: Diagnosis) -> None:
    from trainers.doctor.system_info import describe_system

    for name, fact in describe_system(diagnosis.versions, diagnosis.devices):
        click.echo(f"{name:10}  {escape_for_display(fact)}")


def _tell_training(diagnosis: Diagnosis) -> None:
    from trainers.doctor.diagnose import draw_table

    measured = diagnosis.measured
    assert measured is not None
    size = f"{measured.height_px}x{measured.width_px}"
    click.echo(
        f"\n{measured.model}, {measured.mode}, on {escape_for_display(measured.dataset)}, ",
        nl=False,
    )
    click.echo(f"batches of {measured.batch_size} at {size}, {measured.precision}")
    for line in draw_table(diagnosis.stages):
        click.echo(line)
    click.echo(diagnosis.conclusion)
