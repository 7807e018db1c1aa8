"""The command `featurize`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import click
import msgspec

from records.cli.option_groups import GroupedCommand
from records.text.escaping import escape_for_display
from trainers.cli import output
from trainers.cli.options import ImageSize, ModelName
from trainers.options import FeatureType, Pooling

if TYPE_CHECKING:
    from trainers.features.job import FeaturizeReport
    from trainers.jobs import ShardExecutor

_EXAMPLES = """\b
Examples:
  shardmill featurize data/ features/ --model mobilenet_v2
  shardmill featurize data/ features/ --model vgg16 --weights vgg16.weights.h5 --pooling flatten
  shardmill featurize gs://photos/data gs://photos/features --model inception_v3 \\
      --runner DataflowRunner -- --project=…

\b
Exit codes: 0 done or nothing to do, 2 usage, 66 no input, 73 folder not empty or not writable,
74 storage failed, 75 folder in use.
"""


@click.command(cls=GroupedCommand, epilog=_EXAMPLES)
@click.argument("dataset")
@click.argument("out", metavar="OUTPUT")
@click.option("--model", type=ModelName(), required=True, help="Name of the backbone.")
@click.option(
    "--weights",
    default="imagenet",
    show_default=True,
    metavar="NAME|PATH",
    help="Weights of the backbone: imagenet, none, a weights file, or a run folder.",
)
@click.option(
    "--image-size",
    type=ImageSize(),
    help="Height and width of the input. Default: the size of convert --resize; without it, the "
    "size of the images if it is the same for all and at most the default of the model; "
    "otherwise the default of the model.",
)
@click.option(
    "--pooling",
    type=click.Choice(get_args(Pooling)),
    default="avg",
    show_default=True,
    help="Pooling of the backbone's feature map.",
)
@click.option(
    "--dtype",
    type=click.Choice(get_args(FeatureType)),
    default="float16",
    show_default=True,
    help="Data type of the stored features.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    default=32,
    show_default=True,
    metavar="N",
    help="Number of images per batch.",
)
@click.option(
    "--runner",
    default="local",
    show_default=True,
    help="Runner: local, flink, spark, prism, dataflow, or the name of a Beam runner.",
)
@click.option("--dry-run", is_flag=True, help="Report what would be done; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--quiet", is_flag=True, help="Print only errors.")
@click.argument("beam_flags", nargs=-1, type=click.UNPROCESSED, metavar="[-- BEAM FLAGS]")
@click.pass_obj
def featurize(
    executor: ShardExecutor,
    /,
    dataset: str,
    out: str,
    *,
    runner: str,
    beam_flags: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Compute the features of every image of DATASET with a backbone, and store them in OUTPUT.

    DATASET and OUTPUT may be URLs (s3://, gs://, …). The same command resumes a killed run.
    Features of a different dataset, model or set of weights are never overwritten.
    """
    from records.runtime.progress import progress_callback
    from records.runtime.shard_worker import RunnerConfig
    from trainers.features.job import FeaturizeOptions, plan_features
    from trainers.features.job import featurize as featurize_dataset

    chosen = RunnerConfig(runner, beam_flags)
    executor.check_runner(chosen)
    plan = plan_features(dataset, out, msgspec.convert(options, FeaturizeOptions))
    output.start_backend(output.ignore if quiet else output.log)
    with progress_callback("extracting features", unit="images", quiet=quiet) as on_progress:
        report = featurize_dataset(plan, executor, chosen, dry_run=dry_run, on_progress=on_progress)
    if as_json:
        output.print_json(report)
    elif not quiet:
        click.echo(_summarize(report))


def _summarize(report: FeaturizeReport) -> str:
    heads = {
        "featurized": f"done, {report.seconds:.1f} s, {report.shards_kept} shards kept",
        "nothing-to-do": "nothing to do, the features are complete",
        "planned": "would be written (dry run)",
    }
    return (
        f"{escape_for_display(report.store)}: {heads[report.status]}\n"
        f"  {report.images:,} images in {report.shards} shards, "
        f"{report.features:,} {report.dtype} features each, {report.bytes / 1e6:,.1f} MB"
    )
