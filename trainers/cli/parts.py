"""`predict --csv-parts`: a collection, by a Beam pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from records.progress import show_progress
from records.text import printable
from trainers.cli import console
from trainers.services import Runner

if TYPE_CHECKING:
    from trainers.services import Services


def predict_parts(
    services: Services, run: str, given: tuple[str, ...], out: str, *, runner: str, top_k: int
) -> None:
    """Classify a collection, and say how that went.

    Args:
        services: what runs the pipeline.
        run: the run's folder.
        given: files and folders, and Beam's flags, which to click are files too.
        out: where the parts go.
        runner: where the pipeline runs.
        top_k: how many classes to name.
    """
    from trainers.collection import predict_collection
    from trainers.image_files import find_images
    from trainers.run_folder import open_run

    # A file whose name begins so can be given as ./--name.
    flags = tuple(text for text in given if text.startswith("--"))
    chosen = Runner(runner, flags)
    services.check_runner(chosen)
    opened = open_run(run)
    console.note_unfinished(opened)
    files = find_images(text for text in given if text not in flags)
    with show_progress("predicting", unit="files", quiet=False) as on_progress:
        done = predict_collection(
            opened, files, out, services, chosen, top_k=top_k, on_progress=on_progress
        )
    console.tell_unclassified(done.classified, done.files)
    click.echo(f"{printable(out)}: {done.files:,} files in {len(done.parts)} parts")
