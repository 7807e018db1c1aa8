"""Worker of a prediction job, which writes one CSV shard."""

from __future__ import annotations

import functools
import os
import tempfile
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from records.format.layout import WORK_FOLDER
from records.storage import open_storage
from records.storage.ownership import create_recorded, require_own
from records.strict_json import decode_msgpack
from records.text.csv_rows import encode_csv_row
from trainers.models import is_registered, require_model
from trainers.prediction.image_files import ImageFile
from trainers.runs.digests import DIGESTS, encode_digests
from trainers.runs.run_dir import open_run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from records.storage import StagedFile, Storage
    from trainers.options import RejectBelow
    from trainers.prediction.predictor import Predictor
    from trainers.runs.run_dir import Run


_RUN = f"{WORK_FOLDER}/run"
_CHUNKS = f"{WORK_FOLDER}/chunks"
# A runner may process several chunks at a time in a process; one chunk uses all cores.
_ONE_AT_A_TIME = threading.Lock()


class ListedFile(msgspec.Struct, frozen=True, array_like=True):
    """A file of a chunk: its name, the number of its folder, and its path in this folder.

    Name and path are bytes, because a file name need not be UTF-8.
    """

    name: bytes
    folder: int
    path: bytes


@dataclass(frozen=True)
class PredictionWorker:
    """Writes the predictions for a chunk to a CSV file, unless the file exists.

    Args:
        out: the output folder, as an absolute path or a URL.
        key: the hash of all inputs of the predictions.
        folders: the folders of the files, in the order of the numbers in `ListedFile.folder`.
        top_k: the number of classes per row.
        model: the `package.module:builder` that a worker process imports to register the model;
            None if the model needs no import.
        reject_below: as for `Predictor`.
    """

    out: str
    key: str
    folders: tuple[Storage, ...]
    top_k: int
    model: str | None = None
    reject_below: RejectBelow | None = None

    def __call__(self, name: str, count: Callable[[int], None], /) -> dict[str, Any]:
        """Predict the files of the chunk `name`; return the other fields of its `CsvShard`.

        Raises:
            CorruptDataError: the run is damaged.
            OutputError: the output cannot be written, or a file of the user has the name of the
                chunk.
            StorageError: storage failed after retries.
        """
        out = open_storage(self.out)
        with _ONE_AT_A_TIME:
            if out.stat(name) is None:
                files = [self._find(listed) for listed in _read_chunk(out, name)]
                with create_recorded(out, name) as stream:
                    self.write_rows(stream, files, count)
                return count_rows(out, name)
        require_own(out, name)
        facts = count_rows(out, name)
        count(facts["files"])
        return facts

    def write_rows(
        self, stream: StagedFile, files: Sequence[ImageFile], count: Callable[[int], None]
    ) -> None:
        """Write a header and one CSV row per file, and call `count` after each row."""
        predictor = _open_predictor(self.out, self.key, self.model, self.reject_below)

        from trainers.prediction.output import csv_columns, csv_row, to_file_result

        top_k, task = min(self.top_k, len(predictor.run.labels)), predictor.run.config.task
        rejects = self.reject_below is not None
        stream.write(encode_csv_row(csv_columns(top_k, task, rejects=rejects)))
        with closing(predictor.predict_files(files, top_k=top_k)) as answers:
            for answer in answers:
                row = csv_row(to_file_result(answer), top_k, task, rejects=rejects)
                stream.write(encode_csv_row(row))
                count(1)

    def _find(self, listed: ListedFile) -> ImageFile:
        name, path = os.fsdecode(listed.name), os.fsdecode(listed.path)
        return ImageFile(name, self.folders[listed.folder], path)


def read_prediction_files(run: Run) -> dict[str, bytes]:
    """Return the files of a run that predictions need, by their names in a copy of the run."""
    return {copy: run.read(name) for copy, name in run.prediction_files.items()}


def publish_run(contents: Mapping[str, bytes], out: Storage) -> None:
    """Write the files of a run that predictions need to the work folder."""
    for name, content in {**contents, DIGESTS: encode_digests(contents)}.items():
        out.replace(f"{_RUN}/{name}", content)


def stage_chunk(out: Storage, name: str, files: Sequence[ListedFile]) -> None:
    """Write the list of the files of a chunk to the work folder."""
    out.replace(f"{_CHUNKS}/{name}", msgspec.msgpack.encode(files))


def _read_chunk(out: Storage, name: str) -> list[ListedFile]:
    return decode_msgpack(out.read(f"{_CHUNKS}/{name}"), list[ListedFile])


@functools.cache
def _open_predictor(
    out: str, _key: str, model: str | None, reject_below: RejectBelow | None
) -> Predictor:
    """Return a predictor for the run in the work folder; it is loaded once per process."""
    from trainers.prediction.predictor import Predictor

    storage = open_storage(out)
    with tempfile.TemporaryDirectory(prefix="shardmill-") as folder:
        for path in storage.list(_RUN):
            Path(folder, path.rpartition("/")[2]).write_bytes(storage.read(path))
        run = open_run(folder)
        if model is not None and not is_registered(run.config.architecture.model):
            require_model(run, model)
        return Predictor(run, reject_below=reject_below)


def count_rows(out: Storage, name: str) -> dict[str, int]:
    """Return the number of files of a finished chunk, and the number of those with a prediction."""
    # The module `csv` refuses long cells, such as the names of 10,000 predicted classes. Rows end
    # outside of quotes, where cells contain no commas; the last cell is the reason.
    unquoted = out.read(name).split(b'"')[::2]
    rows, predicted_files = (
        sum(part.count(end) for part in unquoted) for end in (b"\r\n", b",\r\n")
    )
    return {"files": rows - 1, "predicted_files": predicted_files}
