"""Commands in which one system call fails, or that are killed at one; and at random moments."""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.attack.scene import JOBS, SECONDS, Job, Scene, result_of, run

_SOURCE = Path(__file__).with_name("failing_calls.c")
_ERRORS = (
    errno.EIO,
    errno.ENOSPC,
    errno.EACCES,
    errno.EROFS,
    errno.EMFILE,
    errno.ENOMEM,
    errno.ESTALE,
)
_EXIT_CODES = {0, 1, 2, 65, 66, 69, 73, 74, 75}
_KILLED = {-9, 137}
# A command that was killed after its last step finds its output, or nothing to clean.
_NOTHING_LEFT = {66, 73}
_LEFT_BEHIND = "left behind"
# What cannot be removed stays.
_REMOVAL = re.compile(r" at \d+ (rmdir|unlink|unlinkat) ")


class CallAttack:
    """Failing and killing of every job.

    Args:
        folder: an existing empty folder.
        seed: of the calls and moments.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._random = folder, random.Random(seed)
        self._scene = Scene(folder / "scene")
        self._library = folder / "failing_calls.so"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O1", "-o", self._library, _SOURCE, "-ldl"], check=True
        )
        self._cases = 0
        self._undisturbed: dict[Job, tuple[int, float, dict[str, bytes]]] = {}

    def finds(self, kind: str, jobs: tuple[Job, ...] = JOBS) -> Iterator[list[str]]:
        """Yield the finds of one case after the other, without end.

        Args:
            kind: `fail` a system call, `die` at a system call, or `kill` at a random moment.
            jobs: the jobs to choose from.
        """
        while True:
            for job in jobs:
                yield self._case(kind, job)

    def _case(self, kind: str, job: Job) -> list[str]:
        calls, seconds, expected = self._run_undisturbed(job)
        self._cases += 1
        work = self._folder / f"case-{self._cases}"
        output = self._scene.prepare(job, work)
        command = self._scene.command(job.arguments, output)
        log = self._folder / f"calls-{self._cases}"
        number, code = self._random.randint(1, calls), 0
        if kind == "kill":
            _kill_at(command, self._random.uniform(0, seconds))
            title, ended = f"{job.name}: killed", None
        else:
            code = self._random.choice(_ERRORS) if kind == "fail" else 0
            ended = run(command, self._preload(number, code, log))
            fault = errno.errorcode.get(code, "SIGKILL")
            call = log.read_text().strip() if log.exists() else str(number)
            title = f"{job.name}: {fault} at {call}"
        finds = [] if ended is None else _judge(ended, expect_kill=not code and log.exists())
        finds += self._finish(job, command, output, expected, ended)
        if code and _REMOVAL.search(title):
            finds = [find for find in finds if not find.startswith(_LEFT_BEHIND)]
        log.unlink(missing_ok=True)
        if not finds:
            shutil.rmtree(work)
        return [f"{title}: {find} ({work})" for find in finds]

    def _finish(
        self,
        job: Job,
        command: list[str],
        output: Path,
        expected: dict[str, bytes],
        ended: subprocess.CompletedProcess[str] | None,
    ) -> list[str]:
        """Type the same command again unless it succeeded, and compare the output."""
        if not job.output:
            return []
        if ended is None or ended.returncode not in {0, 1} or job.caches:
            if job.streams:
                output.unlink(missing_ok=True)
            again = run(command)
            if again.returncode == 73 and "--resume" in again.stderr:
                again = run([*command, "--resume"])
            elif again.returncode in _NOTHING_LEFT and result_of(output, job) == expected:
                return []  # it had been killed after its last step
            if again.returncode not in {0, 1}:
                return [f"again: {again.returncode} {again.stderr[-300:]}"]
        found = result_of(output, job)
        differing = {name for name in found | expected if found.get(name) != expected.get(name)}
        if differing and not _names_unreadable_file(expected, found):
            return [f"differs from undisturbed: {sorted(differing)[:5]}"]
        left = sorted(path.name for path in output.parent.iterdir() if path != output)
        return [f"{_LEFT_BEHIND}: {left}"] if left else []

    def _run_undisturbed(self, job: Job) -> tuple[int, float, dict[str, bytes]]:
        if job not in self._undisturbed:
            work = self._folder / f"undisturbed-{len(self._undisturbed)}"
            output = self._scene.prepare(job, work)
            log = self._folder / "calls"
            started = time.monotonic()
            ended = run(
                self._scene.command(job.arguments, output), self._preload(0, errno.EIO, log)
            )
            if ended.returncode not in {0, 1}:
                raise RuntimeError(f"{job.name}: {ended.returncode} {ended.stderr}")
            calls = max(int(line.split()[0]) for line in log.read_text().splitlines())
            seconds = time.monotonic() - started
            log.unlink()
            self._undisturbed[job] = calls, seconds, result_of(output, job) if job.output else {}
        return self._undisturbed[job]

    def _preload(self, number: int, code: int, log: Path) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(self._library),
            "ATTACK_FOLDER": str(self._folder) + "/",
            "ATTACK_AT": str(number),
            "ATTACK_ERRNO": str(code),
            "ATTACK_LOG": str(log),
        }


def _names_unreadable_file(expected: dict[str, bytes], found: dict[str, bytes]) -> bool:
    """Return whether an output names a file that could not be read, as it must."""
    return any(
        b"unreadable" in content and b"unreadable" not in expected.get(name, b"")
        for name, content in found.items()
    )


def _judge(ended: subprocess.CompletedProcess[str], *, expect_kill: bool) -> list[str]:
    if expect_kill and ended.returncode in _KILLED:
        return []
    finds = []
    if ended.returncode not in _EXIT_CODES:
        finds.append(f"exit status {ended.returncode}: {ended.stderr[-400:]}")
    if "Traceback" in ended.stderr:
        finds.append(f"traceback: {ended.stderr[-400:]}")
    return finds


def _kill_at(command: list[str], seconds: float) -> None:
    with subprocess.Popen(
        command,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait(SECONDS)
