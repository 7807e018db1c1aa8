"""The command `convert`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.options import HELP, report_and_runner
from records.errors import UsageError

if TYPE_CHECKING:
    from pipelines.options import ConvertOptions

# Below the options, where a reader of --help looks last; \b keeps click from joining the lines.
_CONVERT_EPILOG = """\b
Examples:
  shardmill convert photos/ data/ --test 0.2
  shardmill convert photos/ data/ --test-count 500 --stratify --resize 224 --fit crop
  shardmill convert photos/ data/ --list labels.csv --dry-run
  shardmill convert photos/ data/ --test 0.2 --append
  shardmill convert photos/ data/ -- --direct_running_mode=multi_processing
  shardmill convert photos/ data/ --runner prism

\b
Exit status: 0 done or nothing to do, 2 usage, 65 too many rejects, 66 no input,
69 the engine failed, 73 output taken or not writable, 74 storage failed, 75 output in use.
"""


def _parse_amount(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:
    """`5` is a count, `0.05` a fraction."""
    if text is None:
        return None
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError as error:
        raise click.BadParameter("must be a fraction such as 0.01, or a whole number") from error


def _parse_size(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:
    """`224` is 224×224; `320x240` is width by height."""
    if text is None:
        return None
    width, separator, height = text.lower().partition("x")
    if not width.isdigit() or (separator and not height.isdigit()):
        raise click.BadParameter("must be N or WxH in pixels, such as 224 or 320x240")
    return int(width), int(height if separator else width)


def _parse_names(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:
    return None if text is None else tuple(name for name in text.split(",") if name)


@click.command(epilog=_CONVERT_EPILOG, context_settings=HELP)
@click.argument("source")
@click.argument("output")
@click.option("--test", type=float, metavar="F", help="Fraction of the images for the test split.")
@click.option("--test-count", type=int, metavar="N", help="Exact number for the test split.")
@click.option("--validation", type=float, metavar="F", help="Fraction for the validation split.")
@click.option("--validation-count", type=int, metavar="N", help="Exact number for validation.")
@click.option("--stratify", is_flag=True, help="The same proportion of every class in each split.")
@click.option(
    "--group-by",
    metavar="parent|REGEX",
    help="Keep images together: of one folder, or with the same match in their path.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of splits and order.")
@click.option(
    "--shards", type=int, metavar="N", help="Shards of train; other splits in proportion."
)
@click.option(
    "--shard-mb", type=int, metavar="MB", help="Source megabytes a shard.  [default: 128]"
)
@click.option("--classes", callback=_parse_names, metavar="a,b,…", help="Only these classes.")
@click.option("--labels", metavar="FILE", help="Number the classes as this label map does.")
@click.option(
    "--list",
    "list_",
    metavar="FILE",
    help="Convert what a .csv or .jsonl lists: path,label[,split][,group]; paths below SOURCE.",
)
@click.option(
    "--exclude", metavar="FILE", help="Leave out these keys, one a line (see stats --keys)."
)
@click.option(
    "--layout",
    type=click.Choice(["auto", "classes", "splits"]),
    default="auto",
    show_default=True,
    help="Top folders are classes, or splits with class folders in them.",
)
@click.option(
    "--follow-symlinks", is_flag=True, help="Also convert what links out of SOURCE lead to."
)
@click.option("--allow-url", is_flag=True, help="Let the list name URLs (file, memory, s3, gs).")
@click.option(
    "--check",
    type=click.Choice(["header", "decode"]),
    default="decode",
    show_default=True,
    help="Decode every image, or only what must be re-encoded.",
)
@click.option(
    "--max-rejects",
    callback=_parse_amount,
    metavar="F|N",
    help="Rejected images allowed.  [default: 0.01, at least 10]",
)
@click.option(
    "--max-pixels",
    type=int,
    default=100_000_000,
    show_default=True,
    metavar="N",
    help="Larger images are rejected, judged by their header.",
)
@click.option(
    "--background",
    default="FFFFFF",
    show_default=True,
    metavar="RRGGBB",
    help="Put behind transparent pixels and around padded images.",
)
@click.option("--resize", callback=_parse_size, metavar="N|WxH", help="Store at this size.")
@click.option(
    "--fit",
    type=click.Choice(["stretch", "crop", "pad"]),
    default="stretch",
    show_default=True,
    help="How --resize treats another aspect ratio.",
)
@click.option(
    "--store",
    type=click.Choice(["source", "jpeg", "png", "raw"]),
    default="source",
    show_default=True,
    help="Format in the records; source keeps JPEG and PNG as they are.",
)
@click.option(
    "--channels",
    type=click.Choice(["3", "1"]),
    default="3",
    show_default=True,
    help="Colour, or all grey.",
)
@click.option(
    "--jpeg-quality",
    type=int,
    default=95,
    show_default=True,
    metavar="1-100",
    help="Of what is re-encoded as JPEG.",
)
@click.option("--append", is_flag=True, help="Add what is new in SOURCE to the dataset in OUTPUT.")
@click.option(
    "--allow-new-classes", is_flag=True, help="With --append: take classes OUTPUT does not have."
)
@click.option("--workers", type=int, metavar="N", help="Threads a process.  [default: all cores]")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
@report_and_runner
def convert(*, as_json: bool, quiet: bool, **given: Any) -> None:
    """Turn SOURCE, a folder of labelled images, into a dataset of TFRecord shards in OUTPUT.

    SOURCE has a folder a class, or train/, test/, validation/ with class folders in them; both are
    found by themselves. Source and output may be URLs (s3://, gs://, …). A run that was killed goes
    on when the same command is run again; a dataset that is there is never overwritten. With
    --append, every night say, it gets what is new as one generation more.
    """
    from pipelines.cli.output import convert_with_progress

    convert_with_progress(_options(given), as_json=as_json, quiet=quiet)


def _options(given: dict[str, Any]) -> ConvertOptions:
    from pipelines.options import ConvertOptions
    from records.format.image_options import ImageOptions

    images = ImageOptions(
        **{
            name: given.pop(name)
            for name in (
                "check",
                "max_pixels",
                "background",
                "resize",
                "fit",
                "store",
                "jpeg_quality",
            )
        },
        channels=3 if given.pop("channels") == "3" else 1,
    )
    for split in ("test", "validation"):
        count = given.pop(f"{split}_count")
        if count is not None and given[split] is not None:
            raise UsageError(f"--{split} and --{split}-count exclude each other")
        given[split] = given[split] if count is None else count
    given["list"] = given.pop("list_")
    chosen = {name: value for name, value in given.items() if value is not None}
    return ConvertOptions(images=images, **chosen)
