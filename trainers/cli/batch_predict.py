"""`predict --csv-parts`: prediction for many files in a Beam pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from records.cli.output import print_json, print_text
from records.runtime.progress import progress_callback
from records.runtime.shard_worker import RunnerConfig
from records.text.escaping import escape_surrogates
from records.text.formatting import pluralize
from trainers.cli import output

if TYPE_CHECKING:
    from trainers.jobs import ShardExecutor
    from trainers.options import KeptWeights, RejectBelow


def predict_parts(
    executor: ShardExecutor,
    run: str,
    given: tuple[str, ...],
    out: str,
    *,
    runner: str,
    top_k: int,
    weights: KeptWeights = "best",
    reject_below: RejectBelow | None = None,
    model: str | None = None,
    as_json: bool = False,
) -> None:
    """Predict many files, and report the result.

    Args:
        executor: the service that runs the pipeline.
        run: the run folder.
        given: files, folders, and Beam flags, which click passes as files.
        out: the folder or URL to which the CSV files are written.
        runner: the runner of the pipeline.
        top_k: the number of classes per image.
        weights: the weights of the run to use.
        reject_below: the score below which an image shows none of the classes, or `auto`.
        model: the model of the run, as `package.module:builder`.
        as_json: whether to print the manifest of the predictions as JSON.
    """
    from trainers.prediction.batch_job import predict_to_csv_shards
    from trainers.prediction.image_files import find_images
    from trainers.prediction.option_checks import check_reject_below, check_top_k

    # A file whose name starts with -- can be given as ./--name.
    flags = tuple(text for text in given if text.startswith("--"))
    chosen = RunnerConfig(runner, flags)
    executor.check_runner(chosen)
    opened = output.open_run(run, model, weights)
    check_top_k(top_k, opened)
    check_reject_below(opened, reject_below)
    output.note_unfinished(opened)
    files = find_images(text for text in given if text not in flags)
    with progress_callback("predicting", unit="files", quiet=False) as on_progress:
        done = predict_to_csv_shards(
            opened,
            files,
            out,
            executor,
            chosen,
            top_k=top_k,
            reject_below=reject_below,
            on_progress=on_progress,
        )
    output.report_missing_predictions(done.predicted_files, done.files)
    if as_json:
        print_json({"output": escape_surrogates(out), **msgspec.structs.asdict(done)})
        return
    parts = pluralize(len(done.parts), "part")
    print_text(f"{out}: {pluralize(done.files, 'file')} in {parts}")
