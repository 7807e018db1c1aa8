"""Differences between source and dataset, in the report of a run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.run import Run
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.keys import key_to_text

MOST_KEYS = 1000
"""Maximum number of keys in each list of a report; its `differences` count all files."""


class RenamedFile(msgspec.Struct, frozen=True):
    """A stored file with a new key: the key in the source, and the key of its record."""

    key: str
    stored_key: str


class RenamedClass(msgspec.Struct, frozen=True):
    """A class of the dataset with a new name.

    JSON calls the names `from` and `to`. `images` is the number of its records. If `merged` is
    true, the dataset had a class with the new name: its records now have the label of this class.
    """

    old: str = msgspec.field(name="from")
    new: str = msgspec.field(name="to")
    images: int
    merged: bool


class Differences(msgspec.Struct, frozen=True):
    """The numbers of stored files that differ from the source; a report lists the first of them."""

    changed: int = 0
    gone: int = 0
    renamed: int = 0
    relabelled: int = 0


def list_differences(run: Run) -> dict[str, Any]:
    """Return the fields of a report about the differences; without any, an empty dictionary."""
    diff = run.diff
    if diff is None:
        return {}
    modified, deleted, relabelled = diff.modified, diff.deleted, diff.relabelled
    first = diff.renamed[:MOST_KEYS].to_pylist()
    renamed = tuple(
        RenamedFile(key_to_text(file["key"]), key_to_text(file["stored_key"])) for file in first
    )
    return {
        "differences": Differences(len(modified), len(deleted), len(diff.renamed), len(relabelled)),
        "modified": tuple(map(key_to_text, modified[:MOST_KEYS])),
        "deleted": tuple(map(key_to_text, deleted[:MOST_KEYS])),
        "renamed": renamed,
        "relabelled": tuple(map(key_to_text, relabelled[:MOST_KEYS])),
        "removed": len(run.sources.removed),
        "corrected": len(run.sources.relabelled),
        "class_renamed": tuple(renamed_classes(run)),
    }


def difference_notes(run: Run) -> Iterator[str]:
    """Yield a note on each kind of difference, with the first file."""
    diff = run.diff
    if diff is None:
        return
    yield from diff.renames.notes
    yield from _renamed_notes(diff.renamed)
    corrected = diff.corrected["key"].to_pylist()
    others = sorted({*diff.relabelled} - {*corrected}) if corrected else diff.relabelled
    keeps = "; the dataset keeps the stored images"
    removes = (
        f"; the dataset removes the stored images, and `{prune_command(run.output.url)}` erases "
        "the bytes, with all earlier generations"
    )
    for keys, what in (
        (diff.modified, f"modified in the source{keeps}"),
        (diff.deleted, f"deleted from the source{removes if run.options.accept_gone else keeps}"),
        (corrected, "with another class in the source; their records get this class"),
        (others, f"with another group or split in the source{keeps}"),
    ):
        if keys:
            first = escape_for_display(key_to_text(keys[0]))
            yield f"{pluralize(len(keys), 'file')} {what}; the first: {first}"
    yield from _removed_notes(diff.removed)


def prune_command(url: str) -> str:
    """Return the command that removes all earlier generations of a dataset."""
    return shlex.join(["shardmill", "prune", url, "--older-than", "0"])


def renamed_classes(run: Run) -> Iterator[RenamedClass]:
    """Yield the classes of the dataset that get a new name, in the order of the options."""
    if run.base is None or run.diff is None:
        return
    for old, new in run.diff.renames.names.items():
        label = run.base.labels.index(old)
        images = sum(info.class_records[label] for info in run.base.splits.values())
        yield RenamedClass(old, new, images, merged=label in run.diff.renames.merged)


def _renamed_notes(renamed: pa.Table) -> Iterator[str]:
    """Yield a note on the renamed files, with the first of them; arguments as in `SourceDiff`."""
    if not len(renamed):
        return
    key, stored_key = (
        escape_for_display(key_to_text(renamed[name][0].as_py())) for name in ("key", "stored_key")
    )
    note = f"{pluralize(len(renamed), 'file')} renamed in the source; the dataset keeps the records"
    if relabelled := pc.sum(renamed["is_relabelled"]).as_py():
        note += f", {relabelled:,} of them with another class, group or split"
    yield f"{note}; the first: {key} (stored as {stored_key})"


def _removed_notes(removed: Sequence[bytes]) -> Iterator[str]:
    """Yield a note on the files that are not added, because `remove` has removed their records."""
    if removed:
        first = escape_for_display(key_to_text(removed[0]))
        yield (
            f"{pluralize(len(removed), 'file')} not added: removed from the dataset with"
            f" `shardmill remove`; the first: {first}"
        )
