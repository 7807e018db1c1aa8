"""The command `train`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click
import msgspec

from records.cli.option_groups import GroupedCommand
from records.cli.output import print_json, print_result
from records.cli.params import Count, Location, NewFile, PositiveNumber
from records.runtime.telemetry import span
from records.storage import redact_url
from records.storage.exclusive import require_absent, write_new_file
from records.text.escaping import escape_surrogates
from trainers.cli import output
from trainers.cli.config_options import config_options, given_options, is_from_file
from trainers.cli.options import train_options
from trainers.options import RECIPE_NAMES, Folds, RecipeName, TrainOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainers.cross_validation.plan import FoldsPlan
    from trainers.cross_validation.request import TrainRequest
    from trainers.training.planning import TrainingPlan

# Printed below the options; \b keeps click from joining the lines.
_EXAMPLES = """\b
Examples:
  shardmill train data/ run/
  shardmill train photos/ run/ --minutes 10
  shardmill train data/ run/ --recipe accurate --weights mobilenet_v2.weights.h5
  shardmill train photos/ run/ --model mobilenet_v2 --mode transfer
  shardmill train data/ run/ --model mobilenet_v2 --mode transfer --epochs 30
  shardmill train data/ run/ --model vgg16 --mode finetune --unfreeze 4 \\
      --head-units 1024 --head-dropout 0.5 --optimizer rmsprop --learning-rate 1e-4
  shardmill train data/ run/ --model mobilenet_v2 --mode finetune --layer-decay 0.5 \\
      --unfreeze-epochs 2
  shardmill train data/ run/ --model mobilenet_v2 --mode transfer --summary
  shardmill train data/ run/ --find-learning-rate curve.png
  shardmill train data/ run/ --target age
  shardmill train data/ run/ --augment flip,rotate=20,zoom=0.2 --augment-preview forms.png
  shardmill train data/ run/ --log mlflow --log tensorboard
  shardmill train data/ second/ --config run/options.toml --set epochs=50
  shardmill train data/ run/ --steps 50000 --checkpoint-minutes 5 --resume
  shardmill train data/ run/ --model mypackage.models:build
  shardmill train data/ folds/ --folds 5
  shardmill train s3://photos/data s3://photos/run --resume
  KERAS_BACKEND=jax shardmill train data/ run/ --image-size 128

Exit codes: 0 done or nothing to do, 2 usage error, or the loss became NaN,
66 no finished dataset, or damaged, 73 RUN exists or cannot be written,
74 storage failed, 75 RUN in use by another process.
"""


@click.command(cls=GroupedCommand, epilog=_EXAMPLES)
@click.argument("dataset", type=Location())
@click.argument("run", type=Location())
@config_options
@train_options()
@click.option(
    "--folds",
    type=Count(Folds),
    metavar="N",
    help="Cross-validation: train N runs, RUN/fold-1 and so on, and measure each on its fold.",
)
@click.option(
    "--data",
    type=Location(),
    metavar="OUTPUT",
    help="Folder or URL for the dataset of images that are not converted; by default in the cache.",
)
@click.option(
    "--recipe",
    type=click.Choice(RECIPE_NAMES),
    help="Choose model, augmentation and epochs for the data; given options have priority.",
)
@click.option(
    "--minutes",
    type=PositiveNumber(),
    metavar="N",
    help="Time for the whole command: measure the speed, and choose what fits; implies fast.",
)
@click.option("--resume", is_flag=True, help="Resume RUN if it exists; otherwise start it.")
@click.option(
    "--augment-preview",
    type=NewFile(".png"),
    metavar="FILE.png",
    help="Draw five augmented variants of an image to this new file; do not train.",
)
@click.option(
    "--find-learning-rate",
    type=NewFile(".png"),
    metavar="FILE.png",
    help="Try learning rates, print one, and draw the loss to this new file and to FILE.csv; do"
    " not train.",
)
@click.option(
    "--summary",
    is_flag=True,
    help="Print layers, parameters, steps, memory and speed; do not train.",
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
    folds: int | None,
    data: str | None,
    recipe: RecipeName | None,
    minutes: float | None,
    resume: bool,
    augment_preview: str | None,
    find_learning_rate: str | None,
    summary: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Train a model on DATASET, and write it to the new folder RUN.

    DATASET may also be images, as for `convert`: a folder with one folder per class, or an archive.
    They are converted first, with the default options. DATASET and RUN may be URLs (s3://, …).
    """
    started_at = time.monotonic()

    from trainers.cross_validation.plan import FoldsPlan
    from trainers.cross_validation.request import find_request

    on_message = output.ignore if quiet else output.log
    requested = msgspec.convert(options, TrainOptions)
    if folds is not None and is_from_file(context, "fold"):
        requested = msgspec.structs.replace(requested, fold=None)  # such as options.toml of a fold
    request = find_request(
        run,
        requested,
        given=given_options(context),
        folds=folds,
        resume=resume,
        recipe=recipe,
        minutes=minutes,
        started_at=started_at,
    )
    if context.obj is not None:
        made = context.obj.make_dataset(
            dataset,
            data,
            options=request.known_options,
            run=run,
            is_resumed=request.is_resumed,
            dry_run=dry_run,
            quiet=quiet,
            on_message=on_message,
        )
        if made.planned is not None:
            print_result(made.planned, [], as_json=as_json)
            return
        dataset = made.location
    plan = _plan(request, dataset, on_message)
    if summary:
        _print_summary(plan, on_message, as_json=as_json)
    elif dry_run or augment_preview:
        _preview(plan, None if dry_run else augment_preview, on_message, as_json=as_json)
    elif find_learning_rate:
        _find_learning_rate(plan, find_learning_rate, as_json=as_json)
    elif isinstance(plan, FoldsPlan):
        _train_folds(plan, on_message, quiet=quiet, as_json=as_json)
    else:
        _train_run(plan, on_message, quiet=quiet, as_json=as_json)


@span("plan")
def _plan(
    request: TrainRequest, dataset: str, on_message: Callable[[str], None]
) -> TrainingPlan | FoldsPlan:
    if request.measures_speed:
        output.start_backend(output.ignore)
    plan = request.plan(dataset, on_message)
    for note in plan.notes:
        on_message(note)
    return plan


def _train_run(
    plan: TrainingPlan, on_message: Callable[[str], None], *, quiet: bool, as_json: bool
) -> None:
    from trainers.runs.create import complete_run
    from trainers.runs.result import find_result
    from trainers.training.progress import choose_progress
    from trainers.training.train import train as train_model

    done = find_result(plan)
    if done is None:
        output.start_backend(output.ignore)
        done = train_model(plan, on_message=on_message, progress=choose_progress(quiet=quiet))
    else:
        complete_run(plan.run)
        on_message("nothing to do: the run is finished")
    summary = f"{done.summary()} after epoch {done.weights_epoch}"
    print_result(done, [_end(summary, done.seconds, plan.run_location)], as_json=as_json)


def _train_folds(
    plan: FoldsPlan, on_message: Callable[[str], None], *, quiet: bool, as_json: bool
) -> None:
    from trainers.cross_validation.train import find_finished, train_folds
    from trainers.training.progress import choose_progress

    done = find_finished(plan)
    if done is None:
        output.start_backend(output.ignore)
        progress = choose_progress(quiet=quiet)
        done = train_folds(plan, on_message=on_message, progress=progress, quiet=quiet)
    else:
        on_message("nothing to do: the runs of all folds are finished")
    *lines, last = done.lines()
    print_result(done, [*lines, _end(last, done.seconds, plan.location)], as_json=as_json)


def _end(text: str, seconds: float, location: str) -> str:
    return f"{text}, {seconds:.0f} s: {redact_url(location)}"


def _print_summary(
    plan: TrainingPlan | FoldsPlan, on_message: Callable[[str], None], *, as_json: bool
) -> None:
    output.start_backend(output.ignore)

    from trainers.cross_validation.plan import FoldsPlan, first_run
    from trainers.summary import add_speed, summarize_training

    if isinstance(plan, FoldsPlan):
        on_message("the summary is that of fold 1; the runs of all folds have the same model")
    run_plan = first_run(plan)
    summary = summarize_training(run_plan)
    on_message("measuring the speed of this machine: up to 20 steps")
    summary = add_speed(run_plan, summary)
    print_result(summary, summary.lines(), as_json=as_json)


def _find_learning_rate(plan: TrainingPlan | FoldsPlan, path: str, *, as_json: bool) -> None:
    """Write the curve of a range test as a picture and as CSV, and print the suggestion."""
    table = path.removesuffix(".png") + ".csv"
    require_absent(table)
    output.start_backend(output.ignore)

    from trainers.cross_validation.plan import first_run
    from trainers.learning_rate import find_learning_rate
    from trainers.plots.learning_rate import plot_learning_rates

    curve = find_learning_rate(first_run(plan))
    write_new_file(table, curve.to_csv())
    write_new_file(path, plot_learning_rates(curve))
    print_result(curve, [*curve.lines(), f"curve: {path} and {table}"], as_json=as_json)


def _preview(
    plan: TrainingPlan | FoldsPlan,
    path: str | None,
    on_message: Callable[[str], None],
    *,
    as_json: bool,
) -> None:
    """Draw variants of an image to a file, if one is given, and print the plan as JSON."""
    from trainers.cross_validation.plan import FoldsPlan, first_run

    if path is not None:
        output.start_backend(output.ignore)

        from trainers.plots.augment_preview import preview_augmentation

        run = first_run(plan)
        write_new_file(path, preview_augmentation(run.dataset, run.training, run.config))
        on_message(f"drew five variants of an image to {path}; nothing was trained")
    if as_json:
        print_json(
            _describe_folds(plan, path) if isinstance(plan, FoldsPlan) else _describe(plan, path)
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
        "learning_rate": plan.config.learning_rate,
        "layer_decay": options.layer_decay,
        "unfreeze_epochs": options.unfreeze_epochs,
        "schedule": options.schedule,
        "log": options.loggers,
        "choices": plan.config.choices,
        "training_images": plan.training.records,
        "validation_images": plan.validation.records,
        "augment_preview": None if preview is None else escape_surrogates(preview),
        "notes": plan.notes,
    }


_OF_A_FOLD = ("run", "steps", "training_images", "validation_images")


def _describe_folds(plan: FoldsPlan, preview: str | None) -> dict[str, object]:
    """Return the plan of a cross-validation as JSON; see `_describe`."""
    runs = [_describe(each, preview) for each in plan.folds]
    return {
        **{name: value for name, value in runs[0].items() if name not in _OF_A_FOLD},
        "run": escape_surrogates(redact_url(plan.location)),
        "folds": [
            {"fold": number, **{name: run[name] for name in _OF_A_FOLD}}
            for number, run in enumerate(runs, 1)
        ],
        "notes": plan.notes,
    }
