"""Files of a source that are exchanged at every step between the listing and the last read."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.report import Report
from pipelines.writing import shard
from records.errors import ShardmillError
from records.format import layout
from tests.faults import swaps
from tests.pipelines.conftest import Convert, rejects_of

_EVENTS = {"open", "os.scandir"}


class Steps:
    """The calls of this process that open or list something below a source, by audit events."""

    def __init__(self) -> None:
        self.act: Callable[[], None] | None = None
        self.left = 0
        self.count = 0
        sys.addaudithook(self._hear)

    @contextmanager
    def before(self, number: int, act: Callable[[], None]) -> Iterator[None]:
        """Within the block, call `act` once, before step `number`."""
        self.act, self.left, self.count = act, number, 0
        try:
            yield
        finally:
            self.act = None

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.act is None or event not in _EVENTS or not _is_of_source(event, arguments[0]):
            return
        self.count += 1
        self.left -= 1
        if self.left == 0:
            act, self.act = self.act, None
            act()


def _is_of_source(event: str, path: Any) -> bool:
    """Return whether a call is one of the source: its folders are opened in parts."""
    if event == "os.scandir":
        return isinstance(path, int)
    name = os.fsencode(path) if isinstance(path, str | bytes | os.PathLike) else b""
    return name in {b".", b"dog", b"cat"} or name.endswith((b".png", b"source/", b"source"))


@pytest.fixture(scope="session")
def steps() -> Steps:
    """Return the only hook of the session: it cannot be removed."""
    return Steps()


class Attack:
    """A conversion whose source is exchanged while it runs."""

    def __init__(self, convert: Convert, folder: Path, steps: Steps) -> None:
        self._convert = convert
        self._steps = steps
        self.folder = folder
        self.source = folder / "source"
        self.output = folder / "data"
        self.outside = swaps.make_outside(folder / "outside")

    def count_steps(self) -> int:
        with self._steps.before(0, lambda: None):
            self._convert(output=str(self.folder / "undisturbed"))
            return self._steps.count

    def swap(self, name: str) -> None:
        swaps.swap_in(self.source, self.outside, name)

    def convert(self) -> Report:
        with swaps.time_limit(self.folder):
            return self._convert(max_rejects=20)

    def convert_and_swap(self, name: str, step: int) -> Report | ShardmillError:
        """Convert the source, and exchange its victim before a step."""
        with self._steps.before(step, lambda: self.swap(name)):
            try:
                return self.convert()
            except ShardmillError as error:
                return error


@pytest.fixture
def attack(convert: Convert, source: Path, steps: Steps) -> Attack:
    return Attack(convert, source.parent, steps)


@pytest.mark.parametrize("name", swaps.SWAPS)
@pytest.mark.parametrize(
    "moment", [0, 1, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 30))]
)
def test_convert_source_exchanged_at_any_step_ends_without_foreign_bytes(
    attack: Attack, name: str, moment: int
) -> None:
    step = random.Random(f"{name} {moment}").randint(1, attack.count_steps())
    ended = attack.convert_and_swap(name, step)
    swaps.require_accounted(attack.output)
    if isinstance(ended, ShardmillError):
        assert ended.exit_code in {2, 65, 66, 74}, (step, ended)
        assert not (attack.output / layout.MANIFEST).exists()
    else:
        counts = ended.counts
        parts = counts.stored + counts.rejected + counts.skipped + counts.excluded
        assert counts.found == parts


@pytest.mark.parametrize("name", swaps.SWAPS)
def test_convert_source_exchanged_after_listing_rejects_victim(
    attack: Attack, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = shard.convert_images
    swapped: list[str] = []

    def late(*given: Any) -> None:
        if not swapped:
            swapped.append(name)
            attack.swap(name)
        real(*given)

    monkeypatch.setattr(shard, "convert_images", late)
    report = attack.convert()
    assert set(rejects_of(attack.output).values()) == {"unreadable"}
    assert swaps.VICTIM in rejects_of(attack.output)
    assert report.counts.rejected == (1 if name in swaps.FILE_SWAPS else 9)
    swaps.require_accounted(attack.output)


@pytest.mark.slow
def test_convert_source_exchanged_at_random_moments_finds_nothing() -> None:
    assert swaps.main(seconds=20) > 0
