"""Runs of commands that are killed, and whose store is stopped."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from threading import Thread
from typing import NamedTuple

from tests.days.commands import Commands, Ended

_KILLED = 1 / 3
_MOST_KILLS = 3
_BUSY = 75
_LONGEST_SECONDS = 120.0
_DONE = frozenset({0})


class Store(NamedTuple):
    """The place of the datasets.

    Attributes:
        url: a path or a URL, to which the name of a dataset is appended.
        go_away: takes the store away for this many seconds; None for a local folder.
        erase: removes a dataset.
    """

    url: str
    go_away: Callable[[float], None] | None
    erase: Callable[[str], None]


class Runs:
    """Runs of commands with datasets of a store.

    Attributes:
        counts: the numbers of runs, kills, outages and others so far.
    """

    def __init__(self, commands: Commands, store: Store, chance: Random) -> None:
        self._commands, self._store, self._chance = commands, store, chance
        self._seconds: dict[str, float] = {}
        self.counts: Counter[str] = Counter()

    def kill(self, words: Sequence[str], codes: Collection[int] = _DONE) -> bool:
        """Run a command some times, and kill it at random moments, in one case of three.

        Args:
            words: the command and its arguments.
            codes: the exit statuses with which the command may end before it is killed.

        Returns:
            whether at least one run was killed.
        """
        kills = self._chance.randint(1, _MOST_KILLS) if self._chance.random() < _KILLED else 0
        return sum(self._kill(words, codes) for _ in range(kills)) > 0

    def _kill(self, words: Sequence[str], codes: Collection[int]) -> bool:
        command = words[0]
        seconds = self._chance.uniform(0, 1.1 * self._seconds.get(command, 1.0))
        number = signal.SIGKILL if self._chance.random() < 0.8 else signal.SIGTERM
        ended = self._commands.run(*words, kill_after=seconds, kill_signal=number)
        was_killed = ended.status in {-number, 128 + number}
        assert was_killed or ended.status in {*codes, _BUSY}, (words, ended)
        self.counts[f"{command} killed"] += was_killed
        return was_killed

    def finish(self, words: Sequence[str], codes: Collection[int] = _DONE) -> Ended:
        """Run a command to its end; the store may go away in the meantime."""
        command = words[0]
        with self._outage():
            ended = self.repeat(words)
        assert ended.status in codes, (words, ended)
        self._seconds[command] = ended.seconds
        self.counts[command] += 1
        return ended

    def repeat(self, words: Sequence[str]) -> Ended:
        """Run a command, and repeat it while the lease of a killed run has not expired."""
        until = time.monotonic() + _LONGEST_SECONDS
        while (ended := self._commands.run(*words)).status == _BUSY:
            assert self._store.go_away is not None, (words, ended)
            assert time.monotonic() < until, (words, ended)
            time.sleep(0.3)
        return ended

    @contextmanager
    def _outage(self) -> Iterator[None]:
        """Take the store away for some seconds, in one run of ten."""
        go_away = self._store.go_away
        if go_away is None or self._chance.random() > 0.1:
            yield
            return
        wait, seconds = self._chance.uniform(0, 1.5), self._chance.uniform(0.5, 4)

        def lose() -> None:
            time.sleep(wait)
            go_away(seconds)

        thread = Thread(target=lose)
        thread.start()
        try:
            yield
        finally:
            thread.join()
            self.counts["outages"] += 1
