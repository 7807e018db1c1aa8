"""Listing and planning of a million paths, without writing."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import click

from benchmarks.harness.environments import program
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry, Setting
from benchmarks.suites.conversion import OURS, convert

if TYPE_CHECKING:
    from pathlib import Path

DRY_RUN = "convert --dry-run"
PLAN = "list, then plan"
PATHS = "paths"
_CLASSES = 100
# File systems limit the number of hard links per file to some tens of thousands.
_LINKS_PER_FILE = 10_000
_TINY_PNG = bytes.fromhex("89504e470d0a1a0a")


def enter(setting: Setting) -> Entry:
    """Return the command, and the same work from Python, which reports the time of planning."""

    def plan(case: Case, out: Path) -> list[str]:
        return [sys.executable, program("shardmill_plan"), str(case.source), str(out)]

    contestants = [convert(DRY_RUN, "--dry-run"), Contestant(PLAN, plan, OURS)]
    return Entry(contestants, [paths(setting.cache, setting.scale.paths)])


def paths(cache: Path, count: int) -> Case:
    """Return a case of hard links to few files, which need few inodes; create missing links."""
    folder = cache / "data" / f"{PATHS}-{count}"
    if not folder.is_dir():
        click.echo(f"creating {count:,} links in {folder}", err=True)
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _write(unfinished, count)
        unfinished.rename(folder)
    return Case(PATHS, folder, count, count * len(_TINY_PNG))


def _write(folder: Path, count: int) -> None:
    for number in range(_CLASSES):
        (folder / f"class-{number:03d}").mkdir(parents=True)
    original = ""
    for number in range(count):
        path = f"{folder}/class-{number % _CLASSES:03d}/{number:08d}.png"
        if number % _LINKS_PER_FILE:
            os.link(original, path)
            continue
        with open(path, "wb") as stream:  # noqa: PTH123 - a million of them
            stream.write(_TINY_PNG)
        original = path
