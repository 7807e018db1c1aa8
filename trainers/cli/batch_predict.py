"""`predict --csv-parts`: a collection, by a Beam pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from records.runtime.progress import progress_callback
from records.runtime.shard_worker import RunnerConfig
from records.text.escaping import escape_for_display
from trainers.cli import output

if TYPE_CHECKING:
    from trainers.jobs import ShardExecutor


def predict_parts(
    services: ShardExecutor, run: str, given: tuple[str, ...], out: str, *, runner: str, top_k: int
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
    from trainers.prediction.batch_job import predict_to_csv_shards
    from trainers.prediction.find_images import find_images
    from trainers.runs.run_dir import open_run

    # A file whose name begins so can be given as ./--name.
    flags = tuple(text for text in given if text.startswith("--"))
    chosen = RunnerConfig(runner, flags)
    services.check_runner(chosen)
    opened = open_run(run)
    output.note_unfinished(opened)
    files = find_images(text for text in given if text not in flags)
    with progress_callback("predicting", unit="files", quiet=False) as on_progress:
        done = predict_to_csv_shards(
            opened, files, out, services, chosen, top_k=top_k, on_progress=on_progress
        )
    output.tell_unclassified(done.classified, done.files)
    click.echo(f"{escape_for_display(out)}: {done.files:,} files in {len(done.parts)} parts")
