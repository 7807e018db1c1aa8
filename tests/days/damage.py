"""Random damage of a dataset, and what a repair must restore."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple

from records.format import layout
from records.format.digest import digest_of
from records.format.index import RowForm, read_shard_index
from records.format.layout import index_name, parse_shard_name
from records.format.manifest import Manifest, ShardInfo, read_manifest, shard_names
from records.generations import iter_saved
from records.storage import Storage, open_storage
from tests.days.checks import is_state

_MOST_DAMAGES = 3
_INSERTED = b"\0" * 7
_DERIVED = {layout.LABELS, layout.TFDS_INFO, layout.TFDS_FEATURES, layout.CROISSANT}
"""The files whose content follows from the present manifest."""
_EDITS = {layout.REMOVED, layout.RELABELLED}


class Row(NamedTuple):
    """A record of a shard: its key, its bytes in the shard, and its image."""

    key: str
    place: range
    image: bytes


class Files(NamedTuple):
    """The files of a dataset of which no file is missing or damaged.

    Attributes:
        contents: the content of each file by name, except the state of an unfinished run and the
            card.
        manifests: the manifest of each generation that can be read, by number, the newest first.
        shards: the records of each shard of these generations.
    """

    contents: Mapping[str, bytes]
    manifests: Mapping[int, Manifest]
    shards: Mapping[str, Sequence[Row]]

    @property
    def present(self) -> Manifest:
        """The present manifest."""
        return next(iter(self.manifests.values()))

    def listed_in(self, name: str) -> int:
        """Return the number of the newest generation that lists a file."""
        return next(
            number for number, manifest in self.manifests.items() if name in names_in(manifest)
        )


class Damage(NamedTuple):
    """A damaged file.

    Attributes:
        name: its name.
        content: its content; None for a file that is removed.
        lost: the bytes of its previous content that are lost.
    """

    name: str
    content: bytes | None
    lost: range


def read_contents(dataset: str) -> dict[str, bytes]:
    """Return the content of each file by name, except run states and the card."""
    storage = open_storage(dataset)
    names = [name for name in storage.list() if not is_state(name) and name != layout.CARD]
    return {name: storage.read(name) for name in names}


def read_files(dataset: str) -> Files:
    """Read all files of a dataset."""
    storage = open_storage(dataset)
    contents = read_contents(dataset)
    manifests = {each.generations[-1].number: each for each in iter_saved(storage)}
    present = read_manifest(storage)
    manifests[present.generations[-1].number] = present
    shards = {
        shard.name: tuple(_read_rows(storage, manifest, shard, contents[shard.name]))
        for manifest in manifests.values()
        for split in manifest.splits.values()
        for shard in split.shards
    }
    return Files(contents, dict(sorted(manifests.items(), reverse=True)), shards)


def _read_rows(
    storage: Storage, manifest: Manifest, shard: ShardInfo, content: bytes
) -> Iterator[Row]:
    for row in read_shard_index(storage, shard, RowForm.of(manifest)).rows():
        image = content[row.image_offset : row.image_offset + row.stored_bytes]
        yield Row(row.key, range(row.offset, row.offset + row.length), image)


def is_complete(dataset: str) -> bool:
    """Return whether no file is missing; `prune` may have been killed."""
    storage = open_storage(dataset)
    manifests = [read_manifest(storage), *iter_saved(storage)]
    needed = {
        name
        for manifest in manifests
        for name in names_in(manifest)
        if posixpath.basename(name) not in _DERIVED
    }
    return needed <= {*storage.list()}


def names_in(manifest: Manifest) -> set[str]:
    """Return the names of the files of a generation, except the manifest."""
    shards = shard_names(manifest)
    return {*shards, *map(index_name, shards), *manifest.files}


def choose_damages(files: Files, chance: Random) -> list[Damage]:
    """Return random damages of random files."""
    if chance.random() < 0.1 and (exchanged := _choose_exchange(files, chance)):
        return exchanged
    indexes = [*map(index_name, files.shards)]
    lists, derived = _find_lists(files), _find_derived(files)
    kinds = [sorted(names) for names in (files.shards, indexes, lists, derived) if names]
    number = chance.randint(1, _MOST_DAMAGES)
    chosen = {chance.choice(chance.choice(kinds)) for _ in range(number)}
    return [_damage(name, files.contents[name], chance) for name in sorted(chosen)]


def _choose_exchange(files: Files, chance: Random) -> list[Damage]:
    """Return the exchange of two shards; none if there is one shard, or if both are equal."""
    contents = files.contents
    one, other = chance.choices(sorted(files.shards), k=2)
    if contents[one] == contents[other]:
        return []
    return [Damage(one, contents[other], range(0)), Damage(other, contents[one], range(0))]


def _find_lists(files: Files) -> set[str]:
    names = set().union(*(manifest.files for manifest in files.manifests.values()))
    return {name for name in names if posixpath.basename(name) not in _DERIVED}


def _find_derived(files: Files) -> set[str]:
    """Return the files that follow from the manifest, and that no unfinished run has replaced."""
    digests, contents = files.present.files, files.contents
    names = {name for name in digests if posixpath.basename(name) in _DERIVED}
    return {name for name in names if digest_of(contents.get(name, b"")) == digests[name]}


def _damage(name: str, content: bytes, chance: Random) -> Damage:
    at = chance.randrange(len(content) or 1)
    flipped = bytes([content[at] ^ (1 << chance.randrange(8))]) if content else b"\0"
    return chance.choice(
        [
            Damage(name, None, range(len(content))),
            Damage(name, content[:at] + flipped + content[at + 1 :], range(at, at + 1)),
            Damage(name, content[:at] or flipped, range(at, len(content))),
            Damage(name, content[:at] + _INSERTED + content[at:], range(at, at + 1)),
        ]
    )


def find_repairable(files: Files, damages: Sequence[Damage], source: Collection[bytes]) -> set[str]:
    """Return the damaged files that a repair must restore; it may restore others, too.

    Args:
        files: the files before the damage.
        damages: the damages.
        source: the contents of all files of the source.
    """
    damaged = {damage.name for damage in damages}
    intact = {
        (row.key, row.image)
        for name, rows in files.shards.items()
        if not {name, index_name(name)} & damaged
        for row in rows
    }
    shard_of = {index_name(name): name for name in files.shards}

    def can_repair(damage: Damage) -> bool:
        name = damage.name
        if name in files.shards:
            lost = [row for row in files.shards[name] if _overlap(row.place, damage.lost)]
            is_found = [row.image in source or (row.key, row.image) in intact for row in lost]
            return all(is_found) and index_name(name) not in damaged
        if name in shard_of:
            rejects = posixpath.join(layout.parent(shard_of[name]), layout.REJECTS)
            return not {shard_of[name], rejects} & damaged
        kind = posixpath.basename(name)
        if kind in _EDITS and not shard_of.keys() & damaged:
            return _follows_from_indexes(name, files)
        return kind in _DERIVED or not files.contents[name]

    return {damage.name for damage in damages if can_repair(damage)}


def _overlap(one: range, other: range) -> bool:
    return max(one.start, other.start) < min(one.stop, other.stop)


def _follows_from_indexes(name: str, files: Files) -> bool:
    """Return whether a list of edits follows from the generation and the one before it.

    A compacted dataset has the list of its past; and a record that is removed may be missing.
    """
    folder = posixpath.basename(layout.parent(name))
    number = int(folder) if folder else 1
    is_earlier = b'"earlier":true' in files.contents[name]
    return {number - 1, number} <= files.manifests.keys() and not is_earlier


def describe(damages: Sequence[Damage], files: Files) -> str:
    """Return a line about damages, for the message of a failure."""
    parts = [
        f"{damage.name} ({len(files.contents[damage.name])} bytes, lost {damage.lost},"
        f" {'removed' if damage.content is None else len(damage.content)})"
        for damage in damages
    ]
    return "; ".join(parts)


def place_of(damage: Damage, files: Files, dataset: str) -> str:
    """Return the dataset, or the generation of it, in which `verify` must find a damage."""
    number = files.listed_in(damage.name)
    return dataset if number == next(iter(files.manifests)) else f"{dataset}@{number}"


def names_of(damage: Damage) -> set[str]:
    """Return the files that a finding about a damage may name: those of a shard name each other."""
    name = damage.name
    if parse_shard_name(name) is not None:
        return {name, index_name(name)}
    folder, _, file = name.rpartition("/")
    shard = posixpath.join(layout.parent(folder), file.removesuffix(".parquet") + ".tfrecord")
    return {name, shard} if parse_shard_name(shard) is not None else {name}
