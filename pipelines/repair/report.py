"""The report of a repair."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from pipelines.repair.damage import DamageKind
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize

RepairStatus = Literal["repaired", "incomplete", "nothing-to-do", "planned"]
_SHOWN_KEYS = 5
_DAMAGES = {
    "missing": "missing",
    "size": "wrong size",
    "content": "wrong content",
    "unreadable": "unreadable",
}


class RepairedFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A damaged file, and its repair.

    Attributes:
        file: the name of the file in the dataset.
        damage: what is wrong: the file is missing or unreadable, or has another size or content.
        is_repaired: whether the file has its content again or, in a dry run, would have it.
        from_dataset: the number of records of a shard that were copied from files of the dataset.
        from_source: the number of records of a shard that were made from files of the source.
        missing_keys: the keys of the images that neither the dataset nor the source has.
        problem: why the file is not repaired; empty if it is.
    """

    file: str
    damage: DamageKind
    is_repaired: bool = msgspec.field(name="repaired")
    from_dataset: int = 0
    from_source: int = 0
    missing_keys: tuple[str, ...] = ()
    problem: str = ""

    def lines(self, *, dry_run: bool) -> Iterator[str]:
        """Yield the lines that describe the file."""
        name = escape_for_display(self.file)
        verb = ("repairable" if dry_run else "repaired") if self.is_repaired else "not repaired"
        line = f"  {verb:<12} {name} ({_DAMAGES[self.damage]})"
        if self.is_repaired and (self.from_dataset or self.from_source):
            images = pluralize(self.from_dataset + self.from_source, "image")
            line += f": {images}, {self.from_source:,} of the source"
        if self.problem:
            line += f": {self.problem}"
        yield f"{line}:" if self.missing_keys else line
        for key in self.missing_keys[:_SHOWN_KEYS]:
            yield f"{'':15}{escape_for_display(key)}"
        if (more := len(self.missing_keys) - _SHOWN_KEYS) > 0:
            yield f"{'':15}… {more:,} more; --json lists all"


class RepairReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a repair.

    Attributes:
        status: `repaired` if all damaged files have their content again, `incomplete` if at least
            one does not; in a dry run, `planned` or `incomplete`.
        dataset: the path or URL of the dataset.
        source: the path or URL of the source.
        dry_run: whether nothing was written.
        files: the damaged files, sorted by name.
        seconds: the duration of the run.
    """

    status: RepairStatus
    dataset: str
    source: str
    dry_run: bool
    files: tuple[RepairedFile, ...]
    seconds: float = 0.0

    def lines(self) -> list[str]:
        """Return the report as text, one string per line."""
        if not self.files:
            return [f"{self.dataset}: nothing to repair"]
        done = sum(file.is_repaired for file in self.files)
        verb = "can be repaired (dry run)" if self.dry_run else "repaired"
        of = pluralize(len(self.files), "damaged file")
        lines = [f"{self.dataset}: {done:,} of {of} {verb}"]
        for file in self.files:
            lines += file.lines(dry_run=self.dry_run)
        return lines

    def __repr__(self) -> str:
        return "\n".join(self.lines())
