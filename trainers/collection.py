"""Predictions for a collection of files: CSV files of a thousand rows, by a Beam pipeline.

predictions-00000-of-00012.csv …   as `predict --csv` writes them, whole or not there
predictions.json                   what they follow from, written last: there ⇔ complete
.shardmill/                        of an unfinished one: its key, the run, the lists of files
"""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import xxhash

from records.layout import LABELS
from records.manifest import Count, Digest
from records.storage import absolute_location, open_storage
from records.storage_local import LocalStorage
from records.versioned_json import decode_versioned, encode_canonical
from trainers.keyed_folder import KeyedFolder
from trainers.options import Positive
from trainers.prediction_worker import ListedFile, PredictionWorker, publish_chunk, publish_run
from trainers.run_folder import CONFIG, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from records.storage import Storage
    from trainers.image_files import ImageFile
    from trainers.run_folder import Run
    from trainers.services import OnProgress, Runner, Services

FORMAT_VERSION = 1
MANIFEST = "predictions.json"
_ANOTHER = "predictions of another run, or for other files"
_CHUNK_FILES = 1000


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A CSV file: how many files have a row in it, and how many of them were classified."""

    name: Annotated[str, msgspec.Meta(pattern=r"^predictions-\d{5,}-of-\d{5,}\.csv$")]
    files: Count
    classified: Count


class Predictions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of `predictions.json`.

    Args:
        format_version: of this file.
        key: the hash of the run's configuration, labels and weights, of the files' names, and of
            `top_k`.
        top_k: how many classes a row names.
        files: of all parts.
        classified: of all parts.
        parts: in the order of the files.
    """

    format_version: int
    key: Digest
    top_k: Positive
    files: Count
    classified: Count
    parts: tuple[Part, ...]


def predict_collection(
    run: Run,
    files: Sequence[ImageFile],
    out: str,
    services: Services,
    runner: Runner,
    *,
    top_k: int,
    on_progress: OnProgress,
) -> Predictions:
    """Classify files into a folder of CSV files, or go on with that, or find that it is done.

    A file that is no image has a row with the reason.

    Args:
        run: with weights.
        files: in the order of the rows.
        out: the folder, local or a URL.
        services: what runs the pipeline.
        runner: where.
        top_k: how many classes to name.
        on_progress: told the files done, and of how many.

    Raises:
        UsageError: there is no such runner.
        TargetError: the folder cannot be written, or holds something else.
        BusyError: another process is writing there.
        DamagedError: the run's weights are damaged.
        StorageError: storage failed after retries.
    """
    storage, key = open_storage(out), collection_key(run, files, top_k)
    chunks = _split(files)
    folder = KeyedFolder(storage, key, MANIFEST, tuple(chunks), _ANOTHER)
    if folder.is_finished():
        return read_predictions(storage)
    with storage.lock() as hold:
        # Another process may have finished between the look and the lock.
        if not folder.is_finished():
            folder.check()
            folder.begin()
            publish_run(run, storage)
            folders = _publish_chunks(chunks, storage)
            worker = PredictionWorker(absolute_location(out), key, folders, top_k)
            facts = services.over_shards(
                worker, list(chunks), out, runner, images=len(files), on_progress=on_progress
            )
            hold.confirm()
            folder.finish(encode_canonical(_sum_up(key, top_k, facts)))
    return read_predictions(storage)


def collection_key(run: Run, files: Sequence[ImageFile], top_k: int) -> str:
    """The hash of all that predictions follow from but the bytes of the files."""
    digest = xxhash.xxh3_128(f"{FORMAT_VERSION} {top_k}\n".encode())
    for name in (CONFIG, LABELS, WEIGHTS):
        digest.update(xxhash.xxh3_128_digest((run.path / name).read_bytes()))
    for file in files:
        digest.update(xxhash.xxh3_128_digest(os.fsencode(file.name)))
    return str(digest.hexdigest())


def read_predictions(storage: Storage) -> Predictions:
    """The manifest of finished predictions.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: it is not one, or of a later version.
    """
    return decode_versioned(
        storage.read(MANIFEST),
        Predictions,
        version=FORMAT_VERSION,
        what="a manifest of predictions",
        path=storage.describe(MANIFEST),
    )


def _split(files: Sequence[ImageFile]) -> dict[str, Sequence[ImageFile]]:
    """The files of each part, by its name."""
    starts = range(0, len(files), _CHUNK_FILES)
    return {
        f"predictions-{number:05}-of-{len(starts):05}.csv": files[start : start + _CHUNK_FILES]
        for number, start in enumerate(starts)
    }


def _publish_chunks(chunks: Mapping[str, Sequence[ImageFile]], out: Storage) -> tuple[Storage, ...]:
    """List each chunk's files where its worker looks; the folders the lists speak of, in order."""
    numbers: dict[bytes, int] = {}
    folders: list[Storage] = []

    def number_of(storage: Storage) -> int:
        # Every file that was named by itself has a folder of its own, which may be the same.
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
        publish_chunk(out, name, listed)
    return tuple(folders)


def _absolute(storage: Storage) -> Storage:
    if isinstance(storage, LocalStorage):
        return LocalStorage(absolute_location(str(storage.path)))
    return storage


def _sum_up(key: str, top_k: int, facts: Mapping[str, Mapping[str, Any]]) -> Predictions:
    parts = tuple(Part(name, **found) for name, found in sorted(facts.items()))
    return Predictions(
        FORMAT_VERSION,
        key,
        top_k,
        files=sum(part.files for part in parts),
        classified=sum(part.classified for part in parts),
        parts=parts,
    )
