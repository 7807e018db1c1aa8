"""Datasets for readers, written once per run by shardmill or peers."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import click

from benchmarks.harness.environments import make_environment, program
from benchmarks.harness.rounds import environ

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.rounds import Case
    from benchmarks.harness.settings import Setting
    from benchmarks.suites.conversion import Peer


def converted(setting: Setting, case: Case, *options: str) -> Path:
    """Return a dataset that `convert` writes from the case with these options, once per run."""
    target = setting.derived / "-".join([case.source.name, "convert", *options])
    command = [sys.executable, "-m", "shardmill", "convert", str(case.source), str(target)]
    return make_once(target, [*command, "--quiet", *options])


def written(setting: Setting, case: Case, peer: Peer, *more: str) -> Path:
    """Return a dataset that the writer of a peer writes from the case, once per run.

    Args:
        setting: the folders of the run.
        case: the images.
        peer: the peer, whose program is the writer.
        *more: further arguments of the writer.
    """
    target = setting.derived / "-".join([case.source.name, peer.program, *more])
    python = str(make_environment(peer.environment, setting.cache))
    return make_once(target, [python, program(peer.program), str(case.source), str(target), *more])


def make_once(target: Path, command: list[str]) -> Path:
    """Return the folder that a command writes; run the command if the folder does not exist.

    Raises:
        ClickException: the command failed.
    """
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        ended = subprocess.run(command, env=environ(), capture_output=True, text=True, check=False)
        if ended.returncode:
            raise click.ClickException(f"{' '.join(command)} failed: {ended.stderr[-2000:]}")
    return target
