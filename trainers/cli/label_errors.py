"""The command `label-errors`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from records.cli.option_groups import GroupedCommand
from records.cli.output import json_option, print_result
from records.cli.params import Count, Location, NewFile
from records.runtime.logging import log_line
from trainers.cli import output
from trainers.cli.options import skip_bad_option
from trainers.cli.params import ImageSize, ModelName
from trainers.options import Folds, Seed

if TYPE_CHECKING:
    from records.dataset import Dataset
    from trainers.label_errors import LabelErrors

# Shown below the options; \b keeps click from joining the lines.
_EPILOG = """\b
Examples:
  shardmill label-errors data/ --model mobilenet_v2 --grid wrong.png
  shardmill label-errors data/ --model mobilenet_v2 --keys > wrong.txt
  shardmill label-errors data/ --model mobilenet_v2 --corrections labels.jsonl
  shardmill relabel data/ labels.jsonl

Exit codes: 0 done, 2 usage error, 66 no finished dataset, or damaged,
73 an output file exists or cannot be written, 74 storage failed.
"""


@click.command("label-errors", cls=GroupedCommand, epilog=_EPILOG)
@click.argument("dataset", type=Location())
@click.option("--model", type=ModelName(), required=True, help="Name of the backbone.")
@click.option(
    "--weights",
    type=Location("imagenet", "none"),
    default="imagenet",
    show_default=True,
    metavar="NAME|PATH",
    help="Weights of the backbone: imagenet, none, a weights file, or a run folder.",
)
@click.option(
    "--image-size",
    type=ImageSize(),
    help="Height and width of the input; the default is that of train.",
)
@click.option(
    "--folds",
    type=Count(Folds),
    default=5,
    show_default=True,
    metavar="N",
    help="Number of parts of the cross-validation.",
)
@click.option(
    "--seed",
    type=Count(Seed),
    default=0,
    show_default=True,
    metavar="N",
    help="Seed of the division into folds.",
)
@skip_bad_option("are left out")
@click.option(
    "--keys",
    is_flag=True,
    help="Print only the keys of the images whose label may be wrong, one per line, the surest "
    "first.",
)
@click.option(
    "--corrections",
    type=NewFile(".jsonl", what="corrections"),
    metavar="FILE.jsonl",
    help="Write the suggested classes to this new file, for relabel.",
)
@click.option(
    "--grid",
    type=NewFile(".png"),
    metavar="FILE.png",
    help="New file for a picture of the images whose label may be wrong.",
)
@json_option
def label_errors(
    dataset: str,
    *,
    model: str,
    weights: str,
    image_size: tuple[int, int] | None,
    folds: int,
    seed: int,
    skip_bad: int,
    keys: bool,
    corrections: str | None,
    grid: str | None,
    as_json: bool,
) -> None:
    """Find images of DATASET whose label may be wrong, and images that belong to no class.

    The backbone computes the features of every image once, and keeps them in the cache. A label is
    compared with the prediction of a head that has not seen the image.
    """
    from records.dataset import open_dataset
    from records.runtime.extras import check_extra
    from records.runtime.progress import progress_callback

    check_extra("cleanlab", "label-errors")
    opened = open_dataset(dataset)

    from trainers.label_errors import label_errors as find

    with progress_callback("extracting features", unit="images", quiet=keys) as on_progress:
        found = find(
            opened,
            model=model,
            weights=weights,
            image_size=image_size,
            folds=folds,
            seed=seed,
            skip_bad=skip_bad,
            on_message=output.log,
            on_progress=on_progress,
        )
    _write_files(opened, found, corrections=corrections, grid=grid)
    if keys:
        from records.text.keys import key_to_single_line

        listed = found.keys()
        print_result({"keys": listed}, list(map(key_to_single_line, listed)), as_json=as_json)
    else:
        print_result(found, found.lines(), as_json=as_json)


def _write_files(
    dataset: Dataset, found: LabelErrors, *, corrections: str | None, grid: str | None
) -> None:
    from records.storage.exclusive import write_new_file
    from trainers.label_errors.corrections import encode_corrections
    from trainers.label_errors.sheet import draw_label_errors

    if not found.candidates:
        for path in filter(None, (corrections, grid)):
            log_line(f"{path} is not written, because no label seems wrong", level=logging.WARNING)
        return
    if corrections is not None:
        write_new_file(corrections, encode_corrections(found))
    if grid is not None:
        write_new_file(grid, draw_label_errors(dataset, found))
