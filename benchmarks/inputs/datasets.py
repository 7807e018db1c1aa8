"""Datasets for readers, written once per run by `convert` or a peer."""

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
    """Convert the case's images with these options, once per run."""
    target = setting.derived / "-".join([case.source.name, "convert", *options])
    command = [sys.executable, "-m", "shardmill", "convert", str(case.source), str(target)]
    return _make(target, [*command, "--quiet", *options])


def written(setting: Setting, case: Case, peer: Peer, *more: str) -> Path:
    """Write the case's images with a peer's writer and these arguments, once per run."""
    target = setting.derived / "-".join([case.source.name, peer.program, *more])
    python = str(make_environment(peer.environment, setting.cache))
    return _make(target, [python, program(peer.program), str(case.source), str(target), *more])


def _make(target: Path, command: list[str]) -> Path:
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        ended = subprocess.run(command, env=environ(), capture_output=True, text=True, check=False)
        if ended.returncode:
            raise click.ClickException(f"{' '.join(command)} failed: {ended.stderr[-2000:]}")
    return target
