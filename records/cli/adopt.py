"""The command `adopt`."""

from __future__ import annotations

from typing import Any

import click

from records.arguments import NotNegative
from records.cli.option_groups import GroupedCommand, option_group
from records.cli.output import describe_option, json_option, message_option, print_result
from records.cli.params import Count, Location

# Shown below the options; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill adopt flowers/*.tfrecord flowers/ --dry-run
  shardmill adopt voc/train.record voc/val.record voc/ --labels voc/label_map.pbtxt
  shardmill adopt parts/part-* parts/ --split train=part-*
  shardmill adopt examples/Split-*/*.gz examples/

Exit codes: 0 done, 2 the files cannot form a dataset, 65 too many records excluded, 66 file not
found or damaged, 73 OUTPUT contains a dataset that was not made of these files, or cannot be
written to.
"""


@click.command(cls=GroupedCommand, epilog=_EPILOG)
@click.argument("files", nargs=-1, required=True, type=Location())
@click.argument("output", type=Location())
@option_group(
    "Records",
    click.option(
        "--labels",
        type=Location(),
        metavar="FILE",
        help="Label map: a file with one class name per line, a .pbtxt file or a JSON file.",
    ),
    click.option(
        "--split",
        "splits",
        multiple=True,
        metavar="SPLIT=PATTERN",
        help="Split of the files that match a pattern. Repeatable.  "
        "[default: from a word in the path]",
    ),
    click.option(
        "--feature",
        "features",
        multiple=True,
        metavar="ROLE=NAME",
        help="Feature name for a role: image, label, text (class name) or key. Repeatable.  "
        "[default: detected]",
    ),
    click.option(
        "--first-label",
        type=click.IntRange(0, 1),
        metavar="N",
        help="Number of the first class in the records.  [default: detected]",
    ),
    click.option(
        "--max-rejects",
        type=Count(NotNegative),
        metavar="N",
        help="Maximum number of excluded records.  [default: 1 % of the records, at least 10]",
    ),
)
@click.option("--dry-run", is_flag=True, help="Report the planned dataset, and write nothing.")
@describe_option
@message_option
@json_option
def adopt(
    files: tuple[str, ...],
    output: str,
    splits: tuple[str, ...],
    features: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Make a dataset of TFRecord files that shardmill did not write, without copying them.

    FILES must be in the folder OUTPUT. They are not changed: index, label map and manifest are
    written next to them. Of a GZIP file NAME.gz, the uncompressed copy NAME is the shard. The
    features of TF-Slim and TensorFlow Datasets are recognized; name any other features with
    --feature. Each image must have one class.
    """
    from records.adopt import adopt as adopt_files
    from records.adopt.infer_schema import parse_features
    from records.adopt.infer_splits import parse_split_rules
    from records.runtime.progress import progress_bar

    with progress_bar("reading", unit="B") as bar:
        report = adopt_files(
            files,
            output,
            splits=parse_split_rules(splits),
            features=parse_features(features),
            on_bytes=bar.update,
            **options,
        )
    print_result(report, report.lines(), as_json=as_json)
