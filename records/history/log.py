"""Log of a dataset: what each generation changed, when and why.

    print(log("data"))

The numbers come from manifests. The present manifest describes every generation from which the
present one follows; a saved manifest describes those that a rollback has dropped. The rest comes
from the provenance of each generation.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import accumulate, takewhile
from typing import NamedTuple

import msgspec

from records.arguments import check_arguments
from records.errors import CorruptDataError
from records.format.manifest import Generation, Manifest
from records.generations import (
    Provenance,
    list_saved,
    read_generation,
    read_provenance,
    read_saved,
    split_generation,
)
from records.runtime.parallel_map import IO_THREADS, parallel_map
from records.storage import Storage, open_storage
from records.text.escaping import escape_for_display
from records.text.formatting import align, pluralize

_UNKNOWN = "unknown"


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A generation of a dataset.

    Attributes:
        generation: its number.
        is_readable: whether `DATASET@N` can be opened; otherwise it was pruned.
        added: the number of records that it added; None if it is unknown.
        removed: the number of records that it removed; None if it is unknown.
        relabelled: the number of records whose classes it changed, or whose class it renamed; None
            if it is unknown.
        records: the number of records after it; None if it is unknown.
        provenance: the run that published it; None if it is unknown.
    """

    generation: int
    is_readable: bool
    added: int | None = None
    removed: int | None = None
    relabelled: int | None = None
    records: int | None = None
    provenance: Provenance | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the line of this generation."""
        found = self.provenance
        message = "" if found is None or found.message is None else found.message
        first_line = escape_for_display((message.strip().splitlines() or [""])[0])
        return (
            str(self.generation),
            _UNKNOWN if found is None else f"{found.ended:%Y-%m-%d %H:%M:%SZ}",
            _UNKNOWN if found is None else escape_for_display(found.command),
            *(
                "?" if number is None else f"{sign}{number:,}"
                for sign, number in (
                    ("+", self.added),
                    ("-", self.removed),
                    ("~", self.relabelled),
                )
            ),
            "?" if self.records is None else pluralize(self.records, "record"),
            first_line if self.is_readable else f"(pruned) {first_line}",
        )


class History(msgspec.Struct, frozen=True):
    """The generations of a dataset, the newest first."""

    dataset: str
    generations: tuple[LogEntry, ...]

    def lines(self) -> list[str]:
        """Return one line per generation, the newest first."""
        return align([entry.cells() for entry in self.generations], right=">  >>>>")

    def __repr__(self) -> str:
        return "\n".join(self.lines())


@check_arguments
def log(dataset: str | os.PathLike[str]) -> History:
    """Return the generations of a dataset, the newest first.

    Args:
        dataset: the path or URL of a dataset. `data@3` has the history up to generation 3.

    Raises:
        InputNotFoundError: there is no finished dataset, or the generation was pruned.
        CorruptDataError: the manifest is damaged.
        UsageError: the URL is invalid, or the dataset never had the generation.
        StorageError: storage failed after retries.
    """
    folder, generation = split_generation(dataset)
    storage = open_storage(folder)
    manifest = read_generation(storage, generation)
    newest = manifest.generations[-1].number
    saved = [number for number in list_saved(storage) if number < newest]
    lineages = _read_lineages(storage, manifest, saved)
    provenances = parallel_map(
        partial(read_provenance, storage),
        range(1, newest + 1),
        threads=0 if storage.is_local else IO_THREADS,
    )
    entries = [
        LogEntry(
            generation=number,
            is_readable=number == newest or number in saved,
            provenance=provenance,
            **_count(number, lineages),
        )
        for number, provenance in enumerate(provenances, 1)
    ]
    suffix = "" if generation is None else f"@{generation}"
    return History(f"{storage.url}{suffix}", tuple(reversed(entries)))


class _Lineage(NamedTuple):
    """A generation, after all those from which it follows, and the number of records after it."""

    generations: tuple[Generation, ...]
    records: int


def _read_lineages(storage: Storage, manifest: Manifest, saved: list[int]) -> dict[int, _Lineage]:
    """Return the lineage of each generation, by number; those of pruned ones may be unknown."""
    lineages = _lineages_in(manifest)
    for number in reversed(saved):
        if number not in lineages:
            with suppress(FileNotFoundError, CorruptDataError):  # `verify` reports the damage
                lineages = {**_lineages_in(read_saved(storage, number)), **lineages}
    return lineages


def _lineages_in(manifest: Manifest) -> dict[int, _Lineage]:
    generations = manifest.generations
    changes = (each.counts.stored - each.removed for each in generations)
    return {
        each.number: _Lineage(generations[:end], records)
        for end, (each, records) in enumerate(zip(generations, accumulate(changes), strict=True), 1)
    }


def _count(number: int, lineages: dict[int, _Lineage]) -> dict[str, int]:
    """Return the numbers of changed and of all records of a generation, as far as they are known.

    A generation whose predecessor is not part of its lineage is a rollback. It also takes back the
    changes of the generations that it drops, and repeats those of the generations that it restores.
    """
    lineage = lineages.get(number)
    if lineage is None:
        return {}
    known = {"records": lineage.records}
    if number == 1:
        previous: tuple[Generation, ...] = ()
    elif number - 1 in lineages:
        previous = lineages[number - 1].generations
    else:
        return known
    pairs = zip(previous, lineage.generations, strict=False)
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    dropped, gained = previous[common:], lineage.generations[common:]
    (stored, removed, relabelled), (no_longer_stored, restored, taken_back) = map(
        _sum_changes, (gained, dropped)
    )
    return known | {
        "added": stored + restored,
        "removed": removed + no_longer_stored,
        "relabelled": relabelled + taken_back,
    }


def _sum_changes(generations: Sequence[Generation]) -> tuple[int, int, int]:
    """Return the numbers of records that generations stored, removed and relabelled."""
    return (
        sum(each.counts.stored for each in generations),
        sum(each.removed for each in generations),
        sum(each.relabelled + each.renamed for each in generations),
    )
