"""Days in local folders, and in a bucket."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

from records.storage import open_storage
from tests.days.commands import running_commands
from tests.days.days import Days
from tests.days.runs import Store
from tests.days.source import Bucket, Folder, Source
from tests.s3.server import BUCKET, S3Server


def pass_local_days(folder: Path, seed: int, number: int) -> Days:
    """Pass days with a source and a dataset in an empty folder."""
    store = Store(str(folder), None, shutil.rmtree)
    with running_commands(folder, {}) as commands:
        chance = Random(seed)
        source = Source(Folder(folder / "photos"), chance)
        return _pass(Days(source, store, commands, folder, chance), number)


def pass_s3_days(folder: Path, server: S3Server, seed: int, number: int) -> Days:
    """Pass days with a source and a dataset in a bucket, for which this process is configured."""
    url = f"s3://{BUCKET}/days-{seed}"
    outages = Random(seed)

    def go_away(seconds: float) -> None:
        outages.choice([server.restart_after, server.suspend])(seconds)

    def erase(dataset: str) -> None:
        open_storage(dataset).remove_folder("")

    store = Store(url, go_away, erase)
    with running_commands(folder, server.environment) as commands:
        chance = Random(seed)
        source = Source(Bucket(f"{url}/photos"), chance)
        return _pass(Days(source, store, commands, folder, chance), number)


def _pass(days: Days, number: int) -> Days:
    for _ in range(number):
        days.pass_day()
    days.count_with_all_readers()
    return days
