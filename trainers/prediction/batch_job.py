"""Predictions for many files in a Beam pipeline, as CSV shards.

predictions-00000-of-00012.csv …   up to 1000 rows each, in the format of `predict --csv`
predictions.json                   written last; it exists only if all shards are complete
.shardmill/                        the state of an unfinished job: key, run, lists of files

The files of one CSV shard are a chunk; any process can process any chunk. Before the workers
start, the job writes the run and a list of the files of each chunk to `.shardmill/`. So a worker
reads only the output folder and the files of its chunks.
"""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import xxhash

from records.arguments import Positive
from records.content_addressed_dir import ContentAddressedDir
from records.format.manifest import Count, Digest
from records.storage import absolute_location, open_storage
from records.storage.local import LocalStorage
from records.strict_json import decode_versioned, encode_canonical
from trainers.models import find_model
from trainers.options import RejectBelow
from trainers.prediction.batch_worker import (
    ListedFile,
    PredictionWorker,
    publish_run,
    read_prediction_files,
    stage_chunk,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from records.runtime.shard_worker import OnProgress, RunnerConfig
    from records.storage import Storage
    from trainers.jobs import ShardExecutor
    from trainers.prediction.image_files import ImageFile
    from trainers.runs.run_dir import Run


FORMAT_VERSION = 2
_KEY_VERSION = 1
MANIFEST = "predictions.json"
_ANOTHER = "predictions of a different run, for different files or with different options"
CHUNK_FILES = 1000


class CsvShard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A CSV shard: its name, the number of its files, and how many of these have a prediction."""

    name: Annotated[str, msgspec.Meta(pattern=r"^predictions-\d{5,}-of-\d{5,}\.csv$")]
    files: Count
    predicted_files: Count


class Predictions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `predictions.json`.

    Attributes:
        format_version: the format version of this file.
        key: the hash of the configuration, labels, weights, thresholds and class means of the run,
            the file names, `top_k` and `reject_below`.
        top_k: the number of classes per row.
        files: the number of files.
        predicted_files: the number of files that have a prediction.
        parts: the CSV shards, in the order of the files.
        reject_below: the score of the best class below which an image shows none of the classes, or
            `auto`; None if no image is rejected.
    """

    format_version: int
    key: Digest
    top_k: Positive
    files: Count
    predicted_files: Count
    parts: tuple[CsvShard, ...]
    reject_below: RejectBelow | None = None


def predict_to_csv_shards(
    run: Run,
    files: Sequence[ImageFile],
    out: str,
    executor: ShardExecutor,
    runner: RunnerConfig,
    *,
    top_k: int,
    reject_below: RejectBelow | None = None,
    on_progress: OnProgress,
) -> Predictions:
    """Write predictions for files as CSV shards.

    An unfinished job is resumed; a finished job is not repeated. The row of a file without a
    prediction contains the reason.

    Args:
        run: a run with weights.
        files: the files to predict, in the order of the rows.
        out: the output folder, as a local path or a URL.
        executor: the service that runs the workers.
        runner: the Beam runner.
        top_k: the number of classes per row.
        reject_below: as for `Predictor`.
        on_progress: called with the number of processed files and the number of all files.

    Raises:
        UsageError: the runner or one of its flags is unknown.
        OutputError: the folder cannot be written, or contains the predictions of a different job or
            a file with the name of a CSV shard.
        LockedError: another process is writing to the folder.
        CorruptDataError: the weights of the run are damaged.
        StorageError: storage failed after retries.
    """
    # Read once: `train` may write new weights while this job starts.
    contents = read_prediction_files(run)
    storage, key = open_storage(out), collection_key(contents, files, top_k, reject_below)
    chunks = _split(files)
    folder = ContentAddressedDir(storage, key, MANIFEST, tuple(chunks), _ANOTHER)
    if folder.is_finished():
        return read_predictions(storage)
    with storage.lock() as hold:
        # Another process may have finished before the lock was acquired.
        if not folder.is_finished():
            folder.check()
            folder.begin()
            publish_run(contents, storage)
            del contents
            folders = _publish_chunks(chunks, storage)
            custom = find_model(run.config.architecture.model).custom
            reference = custom.reference if custom else None
            worker = PredictionWorker(
                absolute_location(out), key, folders, top_k, reference, reject_below
            )
            facts = executor.map_shards(
                worker, list(chunks), out, runner, images=len(files), on_progress=on_progress
            )
            hold.ensure_held()
            folder.finish(encode_canonical(_sum_up(worker, facts)))
    return read_predictions(storage)


def collection_key(
    contents: Mapping[str, bytes],
    files: Sequence[ImageFile],
    top_k: int,
    reject_below: RejectBelow | None = None,
) -> str:
    """Return the hash of all inputs of the predictions, except the content of the files.

    Args:
        contents: the files of the run, as `read_prediction_files` returns them.
        files: the files to predict.
        top_k: as in `predict_to_csv_shards`.
        reject_below: as in `predict_to_csv_shards`.
    """
    rejects = "" if reject_below is None else f" {reject_below!r}"
    digest = xxhash.xxh3_128(f"{_KEY_VERSION} {top_k}{rejects}\n".encode())
    for content in contents.values():
        digest.update(xxhash.xxh3_128_digest(content))
    for file in files:
        digest.update(xxhash.xxh3_128_digest(os.fsencode(file.name)))
    return str(digest.hexdigest())


def read_predictions(storage: Storage) -> Predictions:
    """Return the manifest of finished predictions.

    Raises:
        FileNotFoundError: the manifest does not exist.
        CorruptDataError: the manifest is invalid, or a later version wrote it.
    """
    return decode_versioned(
        storage.read(MANIFEST),
        Predictions,
        version=FORMAT_VERSION,
        oldest=1,
        what="a manifest of predictions",
        path=storage.display_name(MANIFEST),
    )


def _split(files: Sequence[ImageFile]) -> dict[str, Sequence[ImageFile]]:
    """Return the files of each CSV shard by the name of the shard."""
    starts = range(0, len(files), CHUNK_FILES)
    return {
        f"predictions-{number:05}-of-{len(starts):05}.csv": files[start : start + CHUNK_FILES]
        for number, start in enumerate(starts)
    }


def _publish_chunks(chunks: Mapping[str, Sequence[ImageFile]], out: Storage) -> tuple[Storage, ...]:
    """Write a list of the files of each chunk, and return the folders that the lists refer to."""
    numbers: dict[bytes, int] = {}
    folders: list[Storage] = []

    def number_of(storage: Storage) -> int:
        # Each file on the command line has its own storage object, often for the same folder.
        content = pickle.dumps(storage)
        if content not in numbers:
            numbers[content] = len(folders)
            folders.append(_absolute(storage))
        return numbers[content]

    for name, files in chunks.items():
        listed = [
            ListedFile(os.fsencode(file.name), number_of(file.storage), os.fsencode(file.path))
            for file in files
        ]
        stage_chunk(out, name, listed)
    return tuple(folders)


def _absolute(storage: Storage) -> Storage:
    if isinstance(storage, LocalStorage):
        path = absolute_location(str(storage.path))
        return LocalStorage(path, follow_links=storage.follow_links)
    return storage


def _sum_up(worker: PredictionWorker, facts: Mapping[str, Mapping[str, Any]]) -> Predictions:
    parts = tuple(CsvShard(name, **found) for name, found in sorted(facts.items()))
    return Predictions(
        FORMAT_VERSION,
        worker.key,
        worker.top_k,
        files=sum(part.files for part in parts),
        predicted_files=sum(part.predicted_files for part in parts),
        parts=parts,
        reject_below=worker.reject_below,
    )
