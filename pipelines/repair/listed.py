"""Files that the generations of a dataset list, with their digests."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pipelines.writing.publish import derived_files
from records.dataset.record import RecordDecoder
from records.errors import CorruptDataError
from records.format import layout
from records.format.digest import FileDigest, digest_of
from records.format.index import RowForm
from records.format.layout import SplitName, generation_folder, parent, saved_manifest_name
from records.format.manifest import Generation, Manifest, ShardInfo, read_manifest
from records.generations import list_saved, read_saved
from records.storage import Storage

_DERIVED = {layout.LABELS, layout.TFDS_INFO, layout.TFDS_FEATURES, layout.CROISSANT}


class ListedShard(NamedTuple):
    """A shard that at least one generation lists.

    Attributes:
        info: the shard.
        split: its split.
        manifest: the newest manifest that lists it.
        generations: the numbers of all generations that list it.
    """

    info: ShardInfo
    split: SplitName
    manifest: Manifest
    generations: frozenset[int]

    @property
    def decoder(self) -> RecordDecoder:
        """The decoder of its records."""
        return RecordDecoder.of(self.manifest)

    @property
    def form(self) -> RowForm:
        """The form of the rows of its index."""
        return RowForm.of(self.manifest)

    @property
    def written_by(self) -> Generation:
        """The generation whose run wrote it."""
        folder = parent(self.info.name)
        lineage = self.manifest.generations
        found = (each for each in lineage if generation_folder(each.number) == folder)
        return next(found, lineage[0])


class ListedFiles(NamedTuple):
    """The files of a dataset, of its present generation and of those with a saved manifest.

    Attributes:
        manifests: the manifest of each generation by its number, the newest first.
        shards: the shards by name.
        lists: the digests of the other files, such as `rejects.jsonl`, by name.
        derived: the files whose content follows from the present manifest, and has its digest, by
            name.
        damaged: the names of the saved manifests that are damaged.
    """

    manifests: Mapping[int, Manifest]
    shards: Mapping[str, ListedShard]
    lists: Mapping[str, FileDigest]
    derived: Mapping[str, bytes]
    damaged: tuple[str, ...]

    @property
    def present(self) -> Manifest:
        """The present manifest."""
        return next(iter(self.manifests.values()))

    def has_manifests_of(self, other: ListedFiles) -> bool:
        """Return whether all manifests, and so all files, are those of another listing."""
        return (self.manifests, self.damaged) == (other.manifests, other.damaged)

    def written_in(self, generation: int) -> Iterator[ListedShard]:
        """Yield the shards that the run of a generation wrote, in the order of their names."""
        for _, shard in sorted(self.shards.items()):
            if shard.written_by.number == generation:
                yield shard


def is_derived(name: str) -> bool:
    """Return whether the content of a file follows from the present manifest."""
    return posixpath.basename(name) in _DERIVED


def read_listed_files(storage: Storage) -> ListedFiles:
    """Return the files that the manifests of a dataset list.

    Raises:
        InputNotFoundError: there is no finished dataset.
        CorruptDataError: the present manifest is damaged.
        StorageError: storage failed after retries.
    """
    present = read_manifest(storage)
    manifests, damaged = {present.generations[-1].number: present}, []
    for number in reversed(list_saved(storage)):
        try:
            # A run that was killed before it published has saved the present manifest.
            manifests.setdefault(number, read_saved(storage, number))
        except FileNotFoundError:
            continue  # `prune` has removed it since the listing
        except CorruptDataError:
            damaged.append(saved_manifest_name(number))
    # Another version of shardmill may have derived other content.
    derived = {
        name: content
        for name, content in derived_files(present).items()
        if digest_of(content) == present.files.get(name)
    }
    lists = {name: it for name, it in present.files.items() if name not in derived}
    for manifest in manifests.values():
        lists |= {name: it for name, it in manifest.files.items() if not is_derived(name)}
    return ListedFiles(manifests, _list_shards(manifests), lists, derived, tuple(sorted(damaged)))


def _list_shards(manifests: Mapping[int, Manifest]) -> dict[str, ListedShard]:
    found: dict[str, ListedShard] = {}
    for number, manifest in manifests.items():
        for split, info in manifest.splits.items():
            for shard in info.shards:
                known = found.get(shard.name, ListedShard(shard, split, manifest, frozenset()))
                found[shard.name] = known._replace(generations=known.generations | {number})
    return found
