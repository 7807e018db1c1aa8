"""The command `adopt`."""

from __future__ import annotations

from typing import Any

import click

from records.cli.output import json_option, print_result

_EPILOG = """\b
Examples:
  shardmill adopt flowers/*.tfrecord flowers/ --dry-run
  shardmill adopt voc/train.record voc/val.record voc/ --labels voc/label_map.pbtxt
  shardmill adopt parts/part-* parts/ --split train=part-*

Exit codes: 0 done, 2 the files cannot be of a dataset, 65 too many records left out, 66 no such
file or a damaged one, 73 TARGET has a dataset or cannot be written.
"""


@click.command(epilog=_EPILOG)
@click.argument("files", nargs=-1, required=True)
@click.argument("target")
@click.option("--labels", metavar="FILE", help="The label map: lines, .pbtxt or JSON.")
@click.option(
    "--split",
    "splits",
    multiple=True,
    metavar="SPLIT=PATTERN",
    help="Which files are of a split, where their names do not tell.",
)
@click.option(
    "--feature",
    "features",
    multiple=True,
    metavar="ROLE=NAME",
    help="The feature that holds the image, label, text (its class's name) or key.",
)
@click.option(
    "--first-label",
    type=click.IntRange(0, 1),
    help="The number of the first class in the records.  [default: as the records say]",
)
@click.option(
    "--max-rejects",
    type=click.IntRange(min=0),
    metavar="N",
    help="How many records may be left out.  [default: 1 %, at least 10]",
)
@click.option("--dry-run", is_flag=True, help="Say what would be, and write nothing.")
@json_option
def adopt(
    files: tuple[str, ...],
    target: str,
    splits: tuple[str, ...],
    features: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Make a dataset of TFRecord files that others wrote.

    FILES lie in the folder TARGET and stay as they are, byte for byte; index, label map and
    manifest are written beside them. Known are the features of TF-Slim and of TensorFlow Datasets,
    for images of one class each; others can be named.
    """
    from records.adopt.adoption import AdoptOptions
    from records.adopt.adoption import adopt as adopt_files
    from records.adopt.infer_schema import parse_features
    from records.adopt.infer_splits import parse_rule
    from records.adopt.report import show_report
    from records.runtime.progress import progress_bar

    asked = AdoptOptions(
        files=files,
        target=target,
        splits=tuple(map(parse_rule, splits)),
        features=parse_features(features),
        **options,
    )
    with progress_bar("reading", unit="B") as bar:
        report = adopt_files(asked, on_bytes=bar.update)
    print_result(report, show_report(report), as_json=as_json)
