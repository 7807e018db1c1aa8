"""Creation of runs, and the lock that the training process holds."""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from records.errors import LockedError, OutputError, UsageError
from records.format.label_map import LabelMap, format_labels
from records.format.layout import LABELS, MANIFEST
from records.storage import is_url
from records.storage.atomic import (
    atomic_folder,
    occupants,
    open_locked,
    remove_staged_files,
)
from trainers.config import RunConfig, encode_config
from trainers.runs.digests import DIGESTS, encode_digests, forget
from trainers.runs.run_dir import (
    CHECKPOINTS,
    CONFIG,
    CURVES,
    HINT_LABELS,
    HISTORY,
    RESULT,
    TENSORBOARD,
    THRESHOLDS,
    TRAINING_IMAGES,
    WEIGHTS,
    Run,
    is_run,
    writing,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def require_empty(
    location: str | os.PathLike[str],
    *,
    dataset: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> Path:
    """Return the path of the folder of a new run, which is absent or vacant.

    A vacant folder contains only files of the system, such as `lost+found`.

    Args:
        location: the path of the folder.
        dataset: the dataset to train on, for the command in the hint.
        resume: whether the folder may contain a run without configuration: an earlier version
            left an empty file if the disk was full.

    Raises:
        OutputError: the folder contains other files, or is a file.
        UsageError: the location is a URL.
    """
    text = os.fspath(location)
    if is_url(text):
        raise UsageError("a run folder must be local", got=text)
    path = Path(text)
    with writing(path):
        if path.exists() and not path.is_dir():
            raise OutputError("the run folder is an existing file", path=text)
        if not path.is_dir():
            return path
        if not set(occupants(path)) - (_empty_run(path) if resume else set()):
            return path
    raise OutputError(
        f"the folder contains {_describe_content(path)} and is not overwritten",
        path=text,
        hint=_advise(path, text, dataset),
    )


def _advise(path: Path, run: str, dataset: str | os.PathLike[str] | None) -> str:
    """Return the command that resumes the run in a folder, if the folder has one."""
    if not (path / CONFIG).is_file():
        return "choose a different folder"
    resume = "--resume"
    if dataset is not None:
        resume = shlex.join(["shardmill", "train", os.fspath(dataset), run, "--resume"])
    if (path / RESULT).is_file():
        return f"train it for longer with `{resume} --epochs N`, or choose a different folder"
    return f"resume it with `{resume}`, or choose a different folder"


def _empty_run(path: Path) -> set[str]:
    """Return the files of a run whose configuration is an empty file, or is removed."""
    if is_run(path):
        return set()
    # `remove_if_empty` may have been interrupted before it removed the digests.
    return {CONFIG, LABELS, DIGESTS} if (path / CONFIG).is_file() else {DIGESTS}


def _describe_content(path: Path) -> str:
    if (path / RESULT).is_file():
        return "a finished run"
    if (path / CONFIG).is_file():
        return "an unfinished run"
    return "a dataset" if (path / MANIFEST).is_file() else "files"


@contextmanager
def open_for_writing(path: Path, config: RunConfig, labels: LabelMap) -> Iterator[Run]:
    """Yield a new or unfinished run, locked by this process.

    Files that a killed process left are removed, and a missing label map is written. At the end of
    the block, a run that has neither weights nor checkpoints is removed.

    Raises:
        LockedError: another process is training this run.
        CorruptDataError: a file of the run is damaged.
        OutputError: the run cannot be written, or another process has created a run there.
    """
    run = Run(path, config, labels) if is_run(path) else create_run(path, config, labels)
    lock = _lock(path)
    try:
        with writing(path):
            for folder in (path, path / CHECKPOINTS):
                remove_staged_files(folder, is_locked=True)
        if run.read(CONFIG) != encode_config(config):
            run.write(CONFIG, encode_config(config))
        complete_run(run)
        if run.has_weights:
            run.check(WEIGHTS)
        with writing(path):
            (path / RESULT).unlink(missing_ok=True)  # a resumed run is not finished
            forget(path, (RESULT, HISTORY, CURVES))
        try:
            yield run
        finally:
            remove_if_empty(run)
    finally:
        os.close(lock)


def complete_run(run: Run) -> None:
    """Check the label map, or write it again if it is missing. Raises as `Run.write`."""
    path = run.path / LABELS
    if path.is_file() and path.stat().st_size:
        run.check(LABELS, hint=HINT_LABELS)
    else:
        run.write(LABELS, format_labels(run.labels))


def _lock(path: Path) -> int:
    try:
        return open_locked(path, os.O_RDONLY)
    except BlockingIOError:
        raise LockedError(
            "another process is training this run", path=str(path), hint="try again later"
        ) from None


def create_run(path: Path, config: RunConfig, labels: LabelMap) -> Run:
    """Create a run in a vacant folder, all of its files in one step.

    Raises:
        OutputError: the run cannot be written, or another process has created a run there.
        StorageError: storage failed.
    """
    require_empty(path, resume=True)
    with writing(path):
        for name in _empty_run(path):
            (path / name).unlink(missing_ok=True)
        contents = {LABELS: format_labels(labels), CONFIG: encode_config(config)}
        with atomic_folder(path, last=CONFIG) as folder:
            (folder / DIGESTS).write_bytes(encode_digests(contents))
            for name, content in contents.items():
                (folder / name).write_bytes(content)
    return Run(path, config, labels)


def remove_if_empty(run: Run) -> None:
    """Remove the files of a run that has neither weights nor checkpoints."""
    if run.has_weights or any((run.path / CHECKPOINTS).glob("step-*")):
        return
    for event_file in (run.path / TENSORBOARD).glob("events.out.tfevents.*"):
        event_file.unlink(missing_ok=True)
    for name in (CHECKPOINTS, TENSORBOARD):
        with suppress(OSError):  # it contains other files, or does not exist
            (run.path / name).rmdir()
    # Without its configuration, the folder is not a run that --resume completes.
    for name in (LABELS, TRAINING_IMAGES, THRESHOLDS, CONFIG, DIGESTS):
        (run.path / name).unlink(missing_ok=True)
    with suppress(OSError):  # it contains other files, or is the root of a volume
        run.path.rmdir()
