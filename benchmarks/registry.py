"""All benchmarks by name, and the function that runs one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import click

from benchmarks.harness.machine import describe_machine, own_versions
from benchmarks.harness.rounds import find_able, run_rounds
from benchmarks.harness.samples import Result
from benchmarks.inputs.pictures import describe, photos
from benchmarks.inputs.real_photos import has_photos
from benchmarks.suites import (
    accelerators,
    access,
    conversion,
    engines,
    export_latency,
    imbalance,
    jpeg_decoders,
    label_errors,
    label_loop,
    large_collection,
    large_photos,
    large_plan,
    linear,
    near_duplicates,
    planning,
    pointing_game,
    prediction,
    processes,
    raw_shares,
    reading,
    rejection,
    remote_reading,
    serving,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from benchmarks.harness.settings import Entry, Setting

# The large collection is first: if the disk lacks space for it, `make bench` fails early.
BENCHMARKS: dict[str, Callable[[Setting], Entry]] = {
    "large-collection": large_collection.enter,
    "conversion": conversion.enter,
    "reading": reading.enter,
    "jpeg-decoders": jpeg_decoders.enter,
    "remote-reading": remote_reading.enter,
    "raw-shares": raw_shares.enter,
    "accelerators": accelerators.enter,
    "access": access.enter,
    "planning": planning.enter,
    "large-plan": large_plan.enter,
    "linear": linear.enter,
    "engines": engines.enter,
    "processes": processes.enter,
    "large-photos": large_photos.enter,
    "prediction": prediction.enter,
    "serving": serving.enter,
    "export-latency": export_latency.enter,
    "near-duplicates": near_duplicates.enter,
    "label-errors": label_errors.enter,
    "label-loop": label_loop.enter,
    "pointing-game": pointing_game.enter,
    "imbalance": imbalance.enter,
    "rejection": rejection.enter,
}
ACCURACY = frozenset({"label-errors", "label-loop", "pointing-game", "imbalance", "rejection"})
"""The benchmarks that measure no times."""
NEED_PHOTOS = ACCURACY | {"export-latency"}
"""The benchmarks that need real photos and weights."""


def choose(names: Collection[str], data: Path) -> list[str]:
    """Return the named benchmarks; without names, all whose images exist.

    Raises:
        ClickException: the images of a named benchmark do not exist.
    """
    if has_photos(data):
        return list(names or BENCHMARKS)
    if missing := NEED_PHOTOS & set(names):
        raise click.ClickException(
            f"{', '.join(sorted(missing))}: the photos or the weights are missing in {data}; "
            "pass --data FOLDER"
        )
    return list(names or (name for name in BENCHMARKS if name not in NEED_PHOTOS))


def run(name: str, setting: Setting, command: str, only: Collection[str] = ()) -> Result:
    """Run a benchmark, and return the result.

    Args:
        name: the name of the benchmark.
        setting: the scale and the folders of the run.
        command: the command line to store with the result.
        only: parts of the names of contestants to measure; empty measures all contestants.
    """
    shutil.rmtree(setting.derived, ignore_errors=True)
    try:
        entry = BENCHMARKS[name](setting)
        wanted = [each for each in entry.contestants if is_wanted(each.name, only)]
        able, failed = wanted, dict[str, str]()
        if entry.trial_images:
            trial = photos(setting.data, setting.cache, entry.trial_images)
            able, failed = find_able(wanted, trial, setting.out)
        rounds = entry.rounds or setting.scale.rounds
        samples = run_rounds(able, entry.cases, rounds, setting.out)
    finally:
        shutil.rmtree(setting.derived, ignore_errors=True)
    versions = {each.name: each.version for each in able if each.version != conversion.OURS}
    return Result(
        benchmark=name,
        command=command,
        machine=describe_machine(setting.cache),
        versions={"shardmill": own_versions(), **versions},
        data=describe(setting.data),
        failed=failed,
        samples=samples,
    )


def is_wanted(name: str, only: Collection[str]) -> bool:
    """Return whether a name contains one of these parts in any case, or there are no parts."""
    return not only or any(part.lower() in name.lower() for part in only)
