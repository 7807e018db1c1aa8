"""The command `featurize`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import click
import msgspec

from records.arguments import Positive
from records.cli.option_groups import GroupedCommand
from records.cli.output import print_json, print_text, quiet_option
from records.cli.params import Count, Location
from records.text.formatting import pluralize
from trainers.cli import output
from trainers.cli.options import skip_bad_option
from trainers.cli.params import ImageSize, ModelName
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
Exit codes: 0 done or nothing to do, 2 usage error, 66 no input, 73 folder not empty or not
writable, 74 storage failed, 75 folder in use.
"""


@click.command(cls=GroupedCommand, epilog=_EXAMPLES)
@click.argument("dataset", type=Location())
@click.argument("out", metavar="OUTPUT", type=Location())
@click.option("--model", type=ModelName(), required=True, help="Name of the backbone.")
@click.option(
    "--weights",
    type=Location("imagenet", "preset", "none"),
    show_default="imagenet; preset with keras-hub",
    metavar="NAME|PATH",
    help="Weights of the backbone: imagenet, preset, none, a weights file, or a run folder.",
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
    help="Pooling of the backbone's feature map or tokens.",
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
    type=Count(Positive),
    default=32,
    show_default=True,
    metavar="N",
    help="Number of images per batch.",
)
@skip_bad_option("get no features")
@click.option(
    "--runner",
    metavar="NAME",
    default="local",
    show_default=True,
    help="Runner: local, flink, spark, prism, dataflow, or the name of a Beam runner.",
)
@click.option("--dry-run", is_flag=True, help="Report what would be done; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@quiet_option
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
    from trainers.features.plan import FeaturizeOptions, plan_features

    chosen = RunnerConfig(runner, beam_flags)
    executor.check_runner(chosen)
    plan = plan_features(dataset, out, msgspec.convert(options, FeaturizeOptions))
    output.start_backend(output.ignore if quiet else output.log)
    from trainers.features.job import featurize as featurize_dataset

    with progress_callback("extracting features", unit="images", quiet=quiet) as on_progress:
        report = featurize_dataset(plan, executor, chosen, dry_run=dry_run, on_progress=on_progress)
    if as_json:
        print_json(report)
    elif not quiet:
        print_text(_summarize(report))


def _summarize(report: FeaturizeReport) -> str:
    kept = pluralize(report.shards_kept, "shard")
    images, shards = pluralize(report.images, "image"), pluralize(report.shards, "shard")
    heads = {
        "featurized": f"done, {report.seconds:.1f} s, {kept} kept",
        "nothing-to-do": "nothing to do, the features are complete",
        "planned": "would be written (dry run)",
    }
    damaged = ""
    if report.damaged_records:
        damaged = f"\n  {pluralize(report.damaged_records, 'damaged record')} without features"
        damaged += ", see features.json"
    return (
        f"{report.store}: {heads[report.status]}\n"
        f"  {images} in {shards}, "
        f"{pluralize(report.features, 'feature')} each as {report.dtype}, "
        f"{report.bytes / 1e6:,.1f} MB{damaged}"
    )
