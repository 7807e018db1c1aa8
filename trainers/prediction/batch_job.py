"""Predictions for a collection of files: CSV files of a thousand rows, by a Beam pipeline.

predictions-00000-of-00012.csv …   as `predict --csv` writes them, whole or not there
predictions.json                   what they follow from, written last: there ⇔ complete
.shardmill/                        of an unfinished one: its key, the run, the lists of files

A worker that classifies one chunk of a collection's files, in whatever process it finds itself.

The run and the chunk's list of files lie in the output's work folder, put there by who started it:
a worker needs nothing else but the files themselves.
"""

from __future__ import annotations

import csv
import functools
import io
import os
import pickle
import tempfile
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import xxhash

from records.format.layout import LABELS, WORK_FOLDER
from records.format.manifest import Count, Digest
from records.storage import absolute_location, open_storage
from records.storage.local import LocalStorage
from records.strict_json import decode_msgpack, decode_versioned, encode_canonical
from trainers.content_addressed_dir import ContentAddressedDir
from trainers.models import find_model, is_registered, require_model
from trainers.options import Positive
from trainers.prediction.find_images import ImageFile
from trainers.runs.run_dir import CONFIG, WEIGHTS, open_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from records.runtime.shard_worker import OnProgress, RunnerConfig
    from records.storage import StagedFile, Storage
    from trainers.jobs import ShardExecutor
    from trainers.prediction.find_images import ImageFile
    from trainers.prediction.predictor import Predictor
    from trainers.runs.run_dir import Run


FORMAT_VERSION = 1
MANIFEST = "predictions.json"
_ANOTHER = "predictions of another run, or for other files"
_CHUNK_FILES = 1000


class CsvShard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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
    parts: tuple[CsvShard, ...]


def predict_to_csv_shards(
    run: Run,
    files: Sequence[ImageFile],
    out: str,
    executor: ShardExecutor,
    runner: RunnerConfig,
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
        executor: what runs the pipeline.
        runner: where.
        top_k: how many classes to name.
        on_progress: told the files done, and of how many.

    Raises:
        UsageError: there is no such runner.
        OutputError: the folder cannot be written, or holds something else.
        LockedError: another process is writing there.
        CorruptDataError: the run's weights are damaged.
        StorageError: storage failed after retries.
    """
    storage, key = open_storage(out), collection_key(run, files, top_k)
    chunks = _split(files)
    folder = ContentAddressedDir(storage, key, MANIFEST, tuple(chunks), _ANOTHER)
    if folder.is_finished():
        return read_predictions(storage)
    with storage.lock() as hold:
        # Another process may have finished between the look and the lock.
        if not folder.is_finished():
            folder.check()
            folder.begin()
            publish_run(run, storage)
            folders = _publish_chunks(chunks, storage)
            custom = find_model(run.config.architecture.model).custom
            reference = custom.reference if custom else None
            worker = PredictionWorker(absolute_location(out), key, folders, top_k, reference)
            facts = executor.map_shards(
                worker, list(chunks), out, runner, images=len(files), on_progress=on_progress
            )
            hold.ensure_held()
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
        CorruptDataError: it is not one, or of a later version.
    """
    return decode_versioned(
        storage.read(MANIFEST),
        Predictions,
        version=FORMAT_VERSION,
        what="a manifest of predictions",
        path=storage.display_name(MANIFEST),
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
        stage_chunk(out, name, listed)
    return tuple(folders)


def _absolute(storage: Storage) -> Storage:
    if isinstance(storage, LocalStorage):
        return LocalStorage(absolute_location(str(storage.path)))
    return storage


def _sum_up(key: str, top_k: int, facts: Mapping[str, Mapping[str, Any]]) -> Predictions:
    parts = tuple(CsvShard(name, **found) for name, found in sorted(facts.items()))
    return Predictions(
        FORMAT_VERSION,
        key,
        top_k,
        files=sum(part.files for part in parts),
        classified=sum(part.classified for part in parts),
        parts=parts,
    )


_RUN = f"{WORK_FOLDER}/run"
_CHUNKS = f"{WORK_FOLDER}/chunks"
# A runner may do several chunks at a time in a process; one keeps all its cores busy.
_ONE_AT_A_TIME = threading.Lock()


class ListedFile(msgspec.Struct, frozen=True, array_like=True):
    """A file of a chunk: what it is called, which of the worker's folders it is in, and where.

    Names are bytes, for they may be no UTF-8.
    """

    name: bytes
    folder: int
    path: bytes


@dataclass(frozen=True)
class PredictionWorker:
    """Classifies the files of a chunk into a CSV file of its name, unless that is there.

    Args:
        out: where predictions go, as every worker can reach it.
        key: what they follow from.
        folders: those the files are in.
        top_k: how many classes to name.
        model: the builder of a registered model, for workers in other processes.
    """

    out: str
    key: str
    folders: tuple[Storage, ...]
    top_k: int
    model: str | None = None

    def __call__(self, name: str, count: Callable[[int], None], /) -> dict[str, Any]:
        """Do the chunk of that name.

        Raises:
            CorruptDataError: the run is damaged.
            OutputError: the output cannot be written.
            StorageError: storage failed after retries.
        """
        out = open_storage(self.out)
        with _ONE_AT_A_TIME:
            if out.stat(name) is None:
                files = [self._find(listed) for listed in _read_chunk(out, name)]
                with out.create(name) as stream:
                    self._write(stream, files, count)
                return _count_rows(out, name)
        facts = _count_rows(out, name)
        count(facts["files"])
        return facts

    def _find(self, listed: ListedFile) -> ImageFile:
        name, path = os.fsdecode(listed.name), os.fsdecode(listed.path)
        return ImageFile(name, self.folders[listed.folder], path)

    def _write(
        self, stream: StagedFile, files: Sequence[ImageFile], count: Callable[[int], None]
    ) -> None:
        predictor = _open_predictor(self.out, self.key, self.model)

        from trainers.prediction.output import csv_columns, csv_row, to_file_result

        top_k = min(self.top_k, len(predictor.class_names))
        stream.write(_encode_row(csv_columns(top_k)))
        with closing(predictor.predict_files(files, top_k=top_k)) as answers:
            for answer in answers:
                stream.write(_encode_row(csv_row(to_file_result(answer), top_k)))
                count(1)


def publish_run(run: Run, out: Storage) -> None:
    """Put what predicting needs of a run where workers look for it."""
    for name in (CONFIG, LABELS, WEIGHTS):
        out.replace(f"{_RUN}/{name}", (run.path / name).read_bytes())


def stage_chunk(out: Storage, name: str, files: Sequence[ListedFile]) -> None:
    """Put the list of a chunk's files where its worker looks for it."""
    out.replace(f"{_CHUNKS}/{name}", msgspec.msgpack.encode(files))


def _read_chunk(out: Storage, name: str) -> list[ListedFile]:
    return decode_msgpack(out.read(f"{_CHUNKS}/{name}"), list[ListedFile])


@functools.cache
def _open_predictor(out: str, _key: str, model: str | None) -> Predictor:
    """The run's model, loaded once in a process."""
    from trainers.prediction.predictor import Predictor

    storage = open_storage(out)
    with tempfile.TemporaryDirectory(prefix="shardmill-") as folder:
        for name in (CONFIG, LABELS, WEIGHTS):
            Path(folder, name).write_bytes(storage.read(f"{_RUN}/{name}"))
        run = open_run(folder)
        if model is not None and not is_registered(run.config.architecture.model):
            require_model(run, model)
        return Predictor(run)


def _encode_row(row: Iterable[object]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(row)
    return text.getvalue().encode()


def _count_rows(out: Storage, name: str) -> dict[str, int]:
    """How many files a finished chunk has, and how many of them were classified."""
    text = io.StringIO(out.read(name).decode(), newline="")
    reasons = [row[-1] for row in csv.reader(text)][1:]
    return {"files": len(reasons), "classified": reasons.count("")}
