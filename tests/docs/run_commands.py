"""Runner of the documentation's commands: `python tests/docs/run_commands.py README.md docs`.

Each page gets a fresh folder with a few photos (photos.py) and runs there from top to bottom:

    ```console           lines that begin with `$ ` are commands, each in its own bash; after a
                         backslash the next line belongs to it; the rest is output, not compared
    ```python            a program
    <!-- $ … -->         a command that readers do not see
    <!-- exit 65 -->     after a block: its last command ends with this status (otherwise 0)
    <!-- not run: … -->  after a block: left out, and why

On Linux, `shardmill` and the programs start in a fork of a process that has imported Keras already
(fork_server.py), but not where a command or program starts and kills or measures processes itself.

A block fenced as sh, bash or shell would escape all this, so it needs the last of these comments.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from typing import TYPE_CHECKING

from tests.docs.fork_server import serve
from tests.docs.photos import write_photos

if TYPE_CHECKING:
    from collections.abc import Iterator

_PART = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=indent)```$"
    r"|^ *<!-- (?P<comment>.*?) -->$",
    re.MULTILINE | re.DOTALL,
)
_SHELLS = {"sh", "bash", "shell", "zsh"}
_BACKGROUND = re.compile(r"(?<![&>])&(?![&>])")
_COMMAND_LIMIT_S = 300
_SHOWN_OUTPUT_BYTES = 3_000


class PageError(ValueError):
    """A page that violates the conventions above."""


@dataclass(frozen=True)
class Step:
    """A step of a page: a shell command or a Python program, and its expected exit status."""

    line: int
    text: str
    language: str = "console"
    exit_status: int = 0

    def argv(self, programs: Path | None) -> list[str]:
        """Return the command of the process to start, with the programs of the fork server."""
        if self.language == "python":
            python = [sys.executable, "-c"] if programs is None else [str(programs / "python-c")]
            return [*python, self.text]
        return ["bash", "-euo", "pipefail", "-c", self.text]

    def path(self, programs: Path | None) -> str:
        """Return the variable PATH of the process."""
        folders = [str(Path(sys.executable).parent), os.environ["PATH"]]
        if programs and self.language == "console" and not _BACKGROUND.search(self.text):
            folders.insert(0, str(programs))
        return os.pathsep.join(folders)


def parse_page(markdown: str) -> list[Step]:
    """Return the steps of one page, in order.

    Raises:
        PageError: a comment follows no block, or a shell block is neither run nor excused.
    """
    steps: list[Step] = []
    block: list[Step] = []
    unexcused = 0
    for part in _PART.finditer(markdown):
        line = markdown.count("\n", 0, part.start()) + 1
        comment = part["comment"]
        if comment is None:
            _refuse_unexcused(unexcused)
            steps += block
            block = list(_steps_of_block(part["language"], part["body"], line + 1))
            unexcused = line if part["language"] in _SHELLS else 0
        elif comment.startswith("$ "):
            steps += [*block, Step(line, comment.removeprefix("$ "))]
            block = []
        elif comment.startswith("exit "):
            if not block:
                raise PageError(f"line {line}: no command that could end with this status")
            block[-1] = replace(block[-1], exit_status=int(comment.removeprefix("exit ")))
        elif comment.startswith("not run: "):
            block, unexcused = [], 0
    _refuse_unexcused(unexcused)
    return steps + block


def _refuse_unexcused(line: int) -> None:
    if line:
        raise PageError(f"line {line}: make this a console block, or say `<!-- not run: why -->`")


def _steps_of_block(language: str, body: str, first_line: int) -> Iterator[Step]:
    if language == "python":
        yield Step(first_line, body, "python")
    if language != "console":
        return
    lines = iter(enumerate(body.splitlines(), first_line))
    for number, line in lines:
        if not line.lstrip().startswith("$ "):
            continue
        text = line.lstrip().removeprefix("$ ")
        while text.endswith("\\"):
            text += "\n" + next(lines, (number, ""))[1]
        yield Step(number, text)


def run_page(page: Path, programs: Path | None = None) -> str | None:
    """Run a page's steps in a separate folder; return the first failure, or None.

    Args:
        page: the page.
        programs: the folder of the programs of the fork server; None: there is none.
    """
    try:
        steps = parse_page(page.read_text(encoding="utf-8"))
    except (PageError, OSError) as error:
        return f"{page}: {error}"
    if not steps:
        return None
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder))
        for step in steps:
            fault = _run_step(step, Path(folder), programs)
            if fault is not None:
                return f"{page}:{step.line}: {fault}"
    print(f"{page}: {len(steps)} commands, {time.monotonic() - started:.0f} s", flush=True)
    return None


def _run_step(step: Step, folder: Path, programs: Path | None) -> str | None:
    try:
        ended = subprocess.run(
            step.argv(programs),
            cwd=folder,
            env=os.environ | {"PATH": step.path(programs), "PYTHONSAFEPATH": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_COMMAND_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{step.text}\nnot done after {_COMMAND_LIMIT_S} s"
    if ended.returncode == step.exit_status:
        return None
    output = ended.stdout[-_SHOWN_OUTPUT_BYTES:].decode(errors="replace")
    return (
        f"{step.text}\nexit {ended.returncode}, expected {step.exit_status}; its output:\n{output}"
    )


def find_pages(arguments: list[str]) -> list[Path]:
    """Return the Markdown files named, and those in the folders named."""
    pages: list[Path] = []
    for path in map(Path, arguments):
        pages += sorted(path.rglob("*.md")) if path.is_dir() else [path]
    return pages


def main(arguments: list[str]) -> int:
    """Run the pages in parallel, one per processor; return 1 if any failed."""
    server = serve() if sys.platform == "linux" else nullcontext()
    with server as programs, ThreadPoolExecutor(os.cpu_count()) as threads:
        run = partial(run_page, programs=programs)
        faults = [fault for fault in threads.map(run, find_pages(arguments)) if fault]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
