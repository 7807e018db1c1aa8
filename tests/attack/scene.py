"""A small source, dataset, run and damaged file, and every command that uses them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.keys import write_keys
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_folders

SECONDS = 300
_REFUSED = 65
_BACKBONE = ("--model", "mobilenet_v2", "--weights", "none", "--image-size", "32")
_TRAINING = ("--model", "cnn", "--image-size", "16", "--batch-size", "8", "--dropout", "0")


@dataclass(frozen=True)
class Job:
    """A command on the scene.

    Attributes:
        arguments: the arguments; `@NAME` is a path of the scene, `OUT` the output.
        output: name below the work folder of the file or folder that the command writes; `OUT` is
            its path, and `OUT/*.tfrecord` its files. Without an output,
            only the exit status is checked.
        copied: name of a folder of the scene that is the output's content before the command.
        varying: names of files that differ between two undisturbed runs.
        loads_tensorflow: whether the command takes seconds to start.
        caches: whether the command also saves measurements; if it cannot, it only warns.
        streams: whether the output grows while the command runs, so that the user removes the one
            of a killed command.
    """

    arguments: tuple[str, ...]
    output: str = ""
    copied: str = ""
    varying: tuple[str, ...] = ()
    loads_tensorflow: bool = False
    streams: bool = False
    caches: bool = False

    @property
    def name(self) -> str:
        """Return the command with the options that make it different from others."""
        return " ".join(word for word in self.arguments if word[0] not in "@O/")


JOBS = (
    Job(
        ("convert", "@photos", "OUT", "--test", "0.2", "--shards", "3", "--max-rejects", "1"),
        "data",
    ),
    Job(
        ("convert", "@photos", "OUT", "--resize", "16", "--store", "raw", "--max-rejects", "1"),
        "raw",
    ),
    Job(
        (
            *("convert", "@photos", "OUT", "--shards", "4", "--processes", "2"),
            *("--max-rejects", "1"),
        ),
        "processes",
    ),
    Job(("convert", "@more", "OUT", "--append", "--max-rejects", "1"), "data", "data"),
    Job(
        (
            *("convert", "@renamed", "OUT", "--append", "--rename-class", "cat=felis"),
            *("--accept-gone", "--describe", "@flowers.toml", "--max-rejects", "1"),
        ),
        "data",
        "grown",
    ),
    Job(("compact", "@grown", "OUT"), "compacted"),
    Job(("remove", "OUT", "--keys", "@keys.txt"), "data", "grown"),
    Job(("relabel", "OUT", "@corrected.csv"), "data", "grown"),
    Job(("compact", "OUT", "--in-place"), "data", "grown"),
    Job(("rollback", "OUT"), "data", "grown"),
    Job(("prune", "OUT", "--older-than", "0"), "data", "grown"),
    Job(("repair", "OUT", "@more"), "data", "broken"),
    Job(("clean", "OUT"), "data", "unfinished"),
    Job(("extract", "@data", "OUT"), "images"),
    Job(("extract", "@grown", "OUT", "--processes", "2"), "all-images"),
    Job(("export-dataset", "@grown", "OUT", "--format", "tfds", "--processes", "2"), "exported"),
    Job(("adopt", "OUT/*.tfrecord", "OUT"), "files", "files"),
    Job(("salvage", "@damaged.tfrecord", "OUT"), "salvaged.tfrecord"),
    Job(("sign", "OUT", "--key", "@key.pem"), "data", "grown"),
    Job(("verify", "@data", "--decode")),
    Job(("verify", "@signed", "--signature", "--key", "@key.pub")),
    Job(("verify", "@grown", "--processes", "2")),
    Job(("files", "@data", "--json")),
    Job(("log", "@grown")),
    Job(("diff", "@grown@1", "@grown", "--csv", "OUT"), "changes.csv", streams=True),
    Job(("diff", "@grown@1", "@grown", "--plot", "OUT"), "shift.png"),
    Job(("stats", "@grown@1", "--json")),
    Job(("stats", "@data", "--json")),
    Job(("stats", "@data", "--plot", "OUT"), "stats.png"),
    Job(("stats", "OUT", "--near", "--json"), "data", "grown", caches=True),
    Job(("stats", "@measured", "--near", "--grid", "OUT"), "pairs.png"),
    Job(("quality", "OUT", "--json"), "data", "grown", caches=True),
    Job(("quality", "@measured", "--grid", "OUT"), "issues.png"),
    Job(("report", "@grown", "-o", "OUT"), "report.html"),
    Job(("inspect", "@data", "--grid", "OUT"), "grid.png"),
    Job(
        ("train", "@data", "OUT", "--epochs", "2", *_TRAINING),
        "run",
        varying=("history.json", "history.csv", "result.json", "curves.png", "digests.json"),
        loads_tensorflow=True,
    ),
    Job(
        ("train", "@data", "OUT.run", "--augment", "flip", "--augment-preview", "OUT", *_TRAINING),
        "preview.png",
        loads_tensorflow=True,
    ),
    Job(
        ("train", "@data", "OUT.run", "--find-learning-rate", "OUT", *_TRAINING),
        "rates.png",
        loads_tensorflow=True,
    ),
    Job(("featurize", "@data", "OUT", *_BACKBONE), "features", loads_tensorflow=True),
    Job(
        ("label-errors", "@data", *_BACKBONE, "--corrections", "OUT"),
        "rows.jsonl",
        loads_tensorflow=True,
    ),
    Job(
        ("label-errors", "@data", *_BACKBONE, "--grid", "OUT"), "errors.png", loads_tensorflow=True
    ),
    Job(("evaluate", "@run", "--csv", "OUT"), "rows.csv", loads_tensorflow=True),
    Job(("runs", "@run", "--chart", "OUT"), "runs.png"),
    Job(("models", "--json")),
    Job(
        ("predict", "@run", "@photos", "--csv", "OUT"),
        "predictions.csv",
        loads_tensorflow=True,
        streams=True,
    ),
    Job(("predict", "@run", "@good", "--csv-parts", "OUT"), "parts", loads_tensorflow=True),
    Job(("predict", "@run", "@good", "--grid", "OUT"), "predicted.png", loads_tensorflow=True),
    Job(
        ("export", "@run", "OUT", "--format", "keras"),
        "exported",
        varying=("model.keras",),
        loads_tensorflow=True,
    ),
    Job(("doctor", "@data", "--seconds", "0.1"), loads_tensorflow=True),
)


class Scene:
    """The files that all jobs share; `folder` must not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        photos = make_folders(folder / "photos", cat=20, dog=16)
        make_folders(folder / "good", cat=9)
        make_file(photos, "dog/bad.png", CORRUPT)
        make_file(photos, "notes.txt", b"not an image")
        shutil.copytree(photos, folder / "more")
        make_folders(folder / "other", cat=30)
        for path in sorted((folder / "other" / "cat").iterdir())[20:]:
            shutil.copy(path, folder / "more" / "cat" / path.name)
        self.require(("convert", "@photos", "@data", "--test", "0.2", "--shards", "3"))
        shutil.copytree(folder / "data", folder / "grown")
        self.require(("convert", "@more", "@grown", "--append"))
        shutil.copytree(folder / "more", folder / "renamed")
        (folder / "renamed" / "cat").rename(folder / "renamed" / "felis")
        (folder / "renamed" / "dog" / "001.png").unlink()
        (folder / "flowers.toml").write_text('name = "Flowers"\n')
        shutil.copytree(folder / "renamed", folder / "bad")
        make_file(folder / "bad", "felis/bad.png", CORRUPT)
        shutil.copytree(folder / "grown", folder / "unfinished")
        refused = ("--append", "--rename-class", "cat=felis", "--max-rejects", "0")
        self.require(("convert", "@bad", "@unfinished", *refused), code=_REFUSED)
        shutil.copytree(folder / "grown", folder / "broken")
        shards = sorted((folder / "broken").glob("*.tfrecord"))
        shards[0].unlink()
        shards[-1].write_bytes(shards[-1].read_bytes()[:-9])
        (folder / "broken" / "index" / f"{shards[1].stem}.parquet").unlink()
        (folder / "keys.txt").write_text("cat/000.png\ndog/003.png\n")
        write_keys(folder)
        for name in ("signed", "measured"):
            shutil.copytree(folder / "data", folder / name)
        self.require(("sign", "@signed", "--key", "@key.pem"))
        self.require(("quality", "@measured"))
        self.require(("stats", "@measured", "--near"))
        (folder / "corrected.csv").write_text("key,class\ncat/001.png,dog\ndog/004.png,cat\n")
        (folder / "files").mkdir()
        for path in (folder / "data").glob("*.tfrecord"):
            shutil.copy(path, folder / "files" / path.name)
        content = bytearray(min((folder / "files").iterdir()).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / "damaged.tfrecord").write_bytes(content)
        self.require(("train", "@data", "@run", "--epochs", "1", *_TRAINING))

    def command(self, arguments: Iterable[str], output: Path | None = None) -> list[str]:
        """Return the command line of arguments as in `Job.arguments`."""
        words: list[str] = []
        for word in arguments:
            if word[0] == "@":
                words.append(str(self.folder / word[1:]))
            elif word == "OUT/*.tfrecord":
                words += map(str, sorted((output or self.folder).glob("*.tfrecord")))
            else:
                words.append(word.replace("OUT", str(output)))
        return [sys.executable, "-m", "shardmill", *words]

    def require(self, arguments: Iterable[str], *, code: int = 0) -> None:
        """Run a command that must end with an exit code."""
        ended = run(self.command((*arguments,)))
        if ended.returncode != code:
            raise RuntimeError(f"{ended.args}: {ended.returncode} {ended.stderr}")

    def prepare(self, job: Job, folder: Path) -> Path:
        """Make the work folder of a job; return the path of its output."""
        folder.mkdir()
        output = folder / (job.output or "none")
        if job.copied:
            shutil.copytree(self.folder / job.copied, output)
        return output


def run(
    command: list[str], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command with additional environment variables. Raises TimeoutExpired if it hangs."""
    return subprocess.run(
        command,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=SECONDS,
        check=False,
    )


def result_of(output: Path, job: Job) -> dict[str, bytes]:
    """Return the files of an output by name, with empty content if it varies.

    The file that is locked is not compared: it remains if it cannot be removed. Checkpoints are not
    compared: a run that was interrupted has more of them; its weights are.
    """
    if output.is_file():
        return {"": output.read_bytes()}
    return {
        name: b"" if name in job.varying else content
        for name, content in content_of(output).items()
        if name != ".shardmill/lock" and not name.startswith("checkpoints/")
    }
