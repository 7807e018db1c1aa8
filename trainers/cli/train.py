"""The command `train`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from records.cli.option_groups import GroupedCommand
from records.cli.output import print_json, print_text
from records.cli.params import Location, NewFile
from records.runtime.telemetry import span
from records.storage import redact_url
from records.storage.exclusive import write_new_file
from records.text.escaping import escape_surrogates
from trainers.cli import output
from trainers.cli.options import given_options, train_options
from trainers.options import TrainOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainers.runs.result import TrainingResult
    from trainers.training.plan import TrainingPlan

# Printed below the options; \b keeps click from joining the lines.
_EXAMPLES = """\b
Examples:
  shardmill train data/ run/
  shardmill train data/ run/ --model mobilenet_v2 --mode transfer --epochs 30
  shardmill train data/ run/ --model vgg16 --mode finetune --unfreeze 4 \\
      --head-units 1024 --head-dropout 0.5 --optimizer rmsprop --learning-rate 1e-4
  shardmill train data/ run/ --target age
  shardmill train data/ run/ --augment flip,rotate=20,zoom=0.2 --augment-preview forms.png
  shardmill train data/ run/ --steps 50000 --checkpoint-minutes 5 --resume
  shardmill train data/ run/ --model mypackage.models:build
  shardmill train s3://photos/data s3://photos/run --resume
  KERAS_BACKEND=jax shardmill train data/ run/ --image-size 128

Exit codes: 0 done or nothing to do, 2 usage error, or the loss became NaN,
66 no finished dataset, or damaged, 73 RUN exists or cannot be written,
74 storage failed, 75 RUN in use by another process.
"""


@click.command(cls=GroupedCommand, epilog=_EXAMPLES)
@click.argument("dataset", type=Location())
@click.argument("run", type=Location())
@train_options()
@click.option("--resume", is_flag=True, help="Resume RUN if it exists; otherwise start it.")
@click.option(
    "--augment-preview",
    type=NewFile(".png"),
    metavar="FILE.png",
    help="Draw five augmented variants of an image to this new file; do not train.",
)
@click.option("--dry-run", is_flag=True, help="Report what would be done; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--quiet", is_flag=True, help="Print only the result.")
@click.pass_context
def train(
    context: click.Context,
    /,
    dataset: str,
    run: str,
    *,
    resume: bool,
    augment_preview: str | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Train a model on DATASET, and write it to the new folder RUN.

    DATASET and RUN may be URLs (s3://, gs://, …).
    """
    from trainers.runs.create import complete_run
    from trainers.runs.result import find_result
    from trainers.runs.resume import find_run, merge_options
    from trainers.training.plan import plan_training

    on_message = output.ignore if quiet else output.log
    found = find_run(run) if resume else None
    requested = (
        msgspec.convert(options, TrainOptions)
        if found is None
        else merge_options(found, given_options(context))
    )
    with span("plan"):
        plan = plan_training(dataset, run, requested, resume=resume)
    for note in plan.notes:
        on_message(note)
    if dry_run or augment_preview:
        if augment_preview and not dry_run:
            _preview(plan, augment_preview, on_message)
        if as_json:
            print_json(_describe(plan, None if dry_run else augment_preview))
        return
    done = find_result(plan)
    if done is None:
        done = _train(plan, on_message, quiet=quiet)
    else:
        complete_run(plan.run)
        on_message("nothing to do: the run is finished")
    if as_json:
        print_json(done)
    else:
        print_text(
            f"{done.summary()} after epoch {done.weights_epoch}, {done.seconds:.0f} s: "
            f"{redact_url(run)}"
        )


def _describe(plan: TrainingPlan, preview: str | None) -> dict[str, object]:
    """Return a plan as JSON for `--dry-run` and `--augment-preview`."""
    options = plan.config.options
    return {
        "status": "planned" if preview is None else "previewed",
        "run": escape_surrogates(redact_url(plan.run_location)),
        "dataset": plan.config.dataset,
        "target": options.target,
        "model": options.model,
        "mode": options.mode,
        "height_px": plan.config.shape.height_px,
        "width_px": plan.config.shape.width_px,
        "epochs": plan.epochs,
        "steps": plan.phases[-1].end_step,
        "batch_size": options.batch_size,
        "training_images": plan.training.records,
        "validation_images": plan.validation.records,
        "augment_preview": None if preview is None else escape_surrogates(preview),
        "notes": plan.notes,
    }


def _train(plan: TrainingPlan, on_message: Callable[[str], None], *, quiet: bool) -> TrainingResult:
    from trainers.training.progress import choose_progress
    from trainers.training.train import train as train_model

    output.start_backend(output.ignore)
    return train_model(plan, on_message=on_message, progress=choose_progress(quiet=quiet))


def _preview(plan: TrainingPlan, path: str, on_message: Callable[[str], None]) -> None:
    output.start_backend(output.ignore)

    from trainers.plots.augment_preview import preview_augmentation

    write_new_file(path, preview_augmentation(plan.dataset, plan.training, plan.config))
    on_message(f"drew five variants of an image to {path}; nothing was trained")
