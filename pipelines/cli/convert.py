"""The command `convert`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pipelines.cli.image_options import image_options
from pipelines.cli.options import HELP, class_options, empty_to_none, job_options, source_options
from records.cli.option_groups import GroupedCommand, option_group
from records.cli.output import describe_option, processes_option
from records.cli.params import Fraction, Location
from records.errors import UsageError

if TYPE_CHECKING:
    from pipelines.options import ConvertOptions

# The epilog is the last part that a reader of --help sees; \b prevents click from joining lines.
_EPILOG = """\b
Examples:
  shardmill convert photos/ data/ --test 0.2
  shardmill convert photos/ data/ --test-count 500 --stratify --resize 224 --fit crop
  shardmill convert photos/ data/ --list labels.csv --dry-run
  shardmill convert photos/ data/ --test 0.2 --append
  shardmill convert photos/ data/ --processes 8
  shardmill convert photos.zip data/ --test 0.2
  shardmill convert photos/ data/ --runner prism

Exit codes: 0 done or nothing to do, 1 too many rejects, and the other images
are published (--quarantine), 2 usage error, 9 no new images
(--error-on-no-new-images), 65 too many rejects, 66 no input, 69 the engine
failed, 73 output cannot be written, or contains a different dataset or a file
with the name of a dataset file, 74 storage failed, 75 output in use.
"""


@click.command(cls=GroupedCommand, epilog=_EPILOG, context_settings=HELP)
@click.argument("source", type=Location())
@click.argument("output", type=Location())
@source_options
@class_options
@option_group(
    "Splits",
    click.option(
        "--test",
        type=Fraction(count_flag="--test-count"),
        metavar="F",
        help="Fraction of the images for test.",
    ),
    click.option("--test-count", type=int, metavar="N", help="Exact number of images for test."),
    click.option(
        "--validation",
        type=Fraction(count_flag="--validation-count"),
        metavar="F",
        help="Fraction of the images for validation.",
    ),
    click.option(
        "--validation-count", type=int, metavar="N", help="Exact number of images for validation."
    ),
    click.option(
        "--stratify", is_flag=True, help="Keep the proportion of every class in each split."
    ),
    click.option(
        "--group-by",
        metavar="parent|REGEX",
        help="Keep images of one folder, or with the same match of REGEX, in one split.",
    ),
    click.option(
        "--seed",
        type=int,
        metavar="N",
        default=0,
        show_default=True,
        help="Seed of the splits and the image order.",
    ),
)
@image_options
@option_group(
    "Shards",
    click.option(
        "--shards",
        type=int,
        metavar="N",
        help="Number of train shards; other splits get a proportional number.",
    ),
    click.option(
        "--shard-mb",
        type=int,
        metavar="MB",
        help="Megabytes of source images per shard.  [default: 128]",
    ),
)
@option_group(
    "Incremental runs",
    click.option(
        "--append",
        is_flag=True,
        help="Add the new images of SOURCE to the dataset; give stored images their new classes.",
    ),
    click.option("--allow-new-classes", is_flag=True, help="With --append, also add new classes."),
    click.option(
        "--max-gone",
        type=Fraction(zero=True, one=True, or_count=True),
        default=0.1,
        show_default=True,
        metavar="F|N",
        help="Maximum fraction or number of stored images that --append may find missing from"
        " SOURCE.",
    ),
    click.option(
        "--accept-gone",
        is_flag=True,
        help="With --append, also remove stored images whose files are missing from SOURCE.",
    ),
    click.option(
        "--rename-class",
        multiple=True,
        callback=empty_to_none,
        metavar="OLD=NEW",
        help="New name of a class of the dataset, after its folder was renamed in SOURCE; merges it"
        " into NEW if the dataset has this class. Repeatable.",
    ),
    click.option(
        "--error-on-no-new-images",
        is_flag=True,
        help="End with exit code 9 if the run stores no image.",
    ),
)
@job_options(
    processes_option,
    click.option(
        "--workers",
        type=int,
        metavar="N",
        help="Number of threads in each process, which read and decode.  [default: the cores "
        "divided by the processes]",
    ),
    click.option("--dry-run", is_flag=True, help="Report what would be done; write nothing."),
    describe_option,
)
def convert(
    *,
    metrics: str | None,
    as_json: bool,
    quiet: bool,
    error_on_no_new_images: bool,
    **given: Any,
) -> None:
    """Convert SOURCE, labelled images, to a dataset of TFRecord shards in OUTPUT.

    SOURCE has one folder per class, or split folders (train/, test/, validation/) that contain
    class folders; the layout is detected automatically. SOURCE can also be a container (ZIP,
    TAR, Parquet, TFRecord, ArrayRecord, MDS, idx, CIFAR, .npz), a pattern such as 'data/*.tar',
    or a folder of containers. --list takes the classes from a table. SOURCE and OUTPUT can be
    URLs (s3://, gs://, …). To resume an interrupted run, run the same command again. A dataset is
    never overwritten, and other files in OUTPUT are kept. With --append, new images are added to
    the dataset as a new generation.
    """
    from pipelines.cli.output import Shown, exit_code, run_with_progress
    from pipelines.convert import convert as run

    options, shown = _options(given), Shown(metrics, as_json, quiet)
    report = run_with_progress("converting", partial(run, options), options.output, shown)
    code = exit_code(report, error_on_no_new_images=error_on_no_new_images)
    click.get_current_context().exit(code)


def _options(given: dict[str, Any]) -> ConvertOptions:
    from pipelines.options import make_options

    source_of = click.get_current_context().get_parameter_source
    passed = [name for name in given if source_of(name) is ParameterSource.COMMANDLINE]
    for split in ("test", "validation"):
        count = given.pop(f"{split}_count")
        if count is not None and given[split] is not None:
            raise UsageError(f"--{split} and --{split}-count cannot be used together")
        given[split] = given[split] if count is None else count
    given["list"] = given.pop("list_")
    given["channels"] = int(given["channels"])
    options = {name: value for name, value in given.items() if value is not None}
    return make_options({**options, "explicit": passed})
