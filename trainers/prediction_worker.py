"""A worker that classifies one chunk of a collection's files, in whatever process it finds itself.

The run and the chunk's list of files lie in the output's work folder, put there by who started it:
a worker needs nothing else but the files themselves.
"""

from __future__ import annotations

import csv
import functools
import io
import os
import tempfile
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from records.layout import LABELS, WORK_FOLDER
from records.storage import open_storage
from records.untrusted import decode_msgpack
from trainers.devices import start_backend
from trainers.image_files import ImageFile
from trainers.run_folder import CONFIG, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from records.storage import StagedFile, Storage
    from trainers.predict import Predictor
    from trainers.run_folder import Run

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
    """

    out: str
    key: str
    folders: tuple[Storage, ...]
    top_k: int

    def __call__(self, name: str, count: Callable[[int], None], /) -> dict[str, Any]:
        """Do the chunk of that name.

        Raises:
            DamagedError: the run is damaged.
            TargetError: the output cannot be written.
            StorageError: storage failed after retries.
        """
        out = open_storage(self.out)
        with _ONE_AT_A_TIME:
            if out.facts(name) is None:
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
        predictor = _open_predictor(self.out, self.key)

        from trainers.predictions import csv_columns, csv_row, describe_answer

        labels = predictor.run.labels
        top_k = min(self.top_k, len(labels))
        stream.write(_encode_row(csv_columns(top_k)))
        with closing(predictor.predict_files(files, top_k=top_k)) as answers:
            for answer in answers:
                stream.write(_encode_row(csv_row(describe_answer(answer, labels), top_k)))
                count(1)


def publish_run(run: Run, out: Storage) -> None:
    """Put what predicting needs of a run where workers look for it."""
    for name in (CONFIG, LABELS, WEIGHTS):
        out.replace(f"{_RUN}/{name}", (run.path / name).read_bytes())


def publish_chunk(out: Storage, name: str, files: Sequence[ListedFile]) -> None:
    """Put the list of a chunk's files where its worker looks for it."""
    out.replace(f"{_CHUNKS}/{name}", msgspec.msgpack.encode(files))


def _read_chunk(out: Storage, name: str) -> list[ListedFile]:
    return decode_msgpack(out.read(f"{_CHUNKS}/{name}"), list[ListedFile])


@functools.cache
def _open_predictor(out: str, _key: str) -> Predictor:
    """The run's model, loaded once in a process."""
    start_backend()

    from trainers.predict import Predictor

    storage = open_storage(out)
    with tempfile.TemporaryDirectory(prefix="shardmill-") as folder:
        for name in (CONFIG, LABELS, WEIGHTS):
            Path(folder, name).write_bytes(storage.read(f"{_RUN}/{name}"))
        return Predictor.open(folder)


def _encode_row(row: Iterable[object]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(row)
    return text.getvalue().encode()


def _count_rows(out: Storage, name: str) -> dict[str, int]:
    """How many files a finished chunk has, and how many of them were classified."""
    text = io.StringIO(out.read(name).decode(), newline="")
    reasons = [row[-1] for row in csv.reader(text)][1:]
    return {"files": len(reasons), "classified": reasons.count("")}
