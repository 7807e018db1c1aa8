"""Images of a source, found by the keys and contents of records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain, starmap
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.fingerprints import read_fingerprints
from pipelines.incremental.hashing import file_hasher
from pipelines.incremental.matching import find_rows, take_rows
from pipelines.options import ConvertOptions
from pipelines.options import make_options as convert_options
from pipelines.sources import SourceImage, Sources, list_sources
from pipelines.sources.containers import ContainerFiles, open_images
from pipelines.sources.reader import SourceFiles
from pipelines.writing.crash_isolation import SubprocessNormalizer
from pipelines.writing.prefetch import PrefetchedImage, prefetch_images
from records.errors import UsageError
from records.format.index import IndexRow
from records.format.manifest import Manifest
from records.images import normalize_image
from records.runtime.cpu import available_cpus
from records.runtime.row_table import iter_rows
from records.storage import Storage
from records.text.keys import key_from_text

_SOURCE_OPTIONS = {
    "list", "image_folder", "path_column", "label_column", "split_column", "group_column",
    "target_column", "multi_label", "label_separator", "keep_columns", "layout", "exclude",
    "follow_symlinks", "allow_url", "classes", "labels", "map", "leaf_class", "max_file_mb",
    "dry_run",
}  # fmt: skip
_IMAGE_TIMEOUT = 3600
"""The limit of a decoder in seconds: each image has the content that a conversion accepted."""


class SourceImages:
    """The images of a source; it is listed when the first of them is needed.

    Args:
        options: the source, and the dataset to repair.
        base: the manifest of the dataset; its settings apply.
        storage: the storage of the dataset.
        can_write: whether compressed containers are unpacked into the dataset; otherwise, they are
            read from their beginning again and again.
    """

    def __init__(
        self, options: ConvertOptions, base: Manifest, storage: Storage, *, can_write: bool
    ) -> None:
        self._options, self._base, self._storage = options, base, storage
        self._copies = storage if can_write else None
        self._by_size: dict[int, dict[bytes, SourceImage]] = {}

    @cached_property
    def listing(self) -> Sources:
        """The listing of the source. Raises the errors of `list_sources`."""
        options = self._options.with_settings(self._base.settings)
        return list_sources(options, self._base)

    @cached_property
    def table(self) -> pa.Table:
        """The listed images as a table, in the order of their keys."""
        return self.listing.images.sort("key")

    @cached_property
    def _files(self) -> SourceFiles:
        listing, follow_symlinks = self.listing, self._options.follow_symlinks
        files = open_images(
            listing.location,
            listing.containers,
            follow_symlinks=follow_symlinks,
            output=self._copies,
        )
        if self._copies is not None and isinstance(files, ContainerFiles):
            files.unpack(self._copies)
        return files

    @cached_property
    def renamed(self) -> pa.Table:
        """The keys of the files that incremental runs found renamed, and their stored keys."""
        saved = read_fingerprints(self._storage).select(["key", "stored_key"])
        return saved.filter(pc.is_valid(saved["stored_key"]))

    def find(self, keys: Sequence[str]) -> list[SourceImage | None]:
        """Return the listed image of each key, maybe renamed; None if it is not listed."""
        wanted = pa.array(map(key_from_text, keys), pa.large_binary())
        numbers = find_rows(wanted, self.table["key"])
        new_keys = take_rows(self.renamed, find_rows(wanted, self.renamed["stored_key"]))["key"]
        renamed = find_rows(new_keys, self.table["key"])
        numbers = np.where(numbers < 0, renamed, numbers)
        found: list[SourceImage | None] = [None] * len(numbers)
        listed = [place for place, number in enumerate(numbers) if number >= 0]
        images = self._take(take_rows(self.table, numbers[listed]))
        for place, image in zip(listed, images, strict=True):
            found[place] = image
        return found

    def find_content(self, row: IndexRow) -> SourceImage | None:
        """Return an image with the content of the file of a record, as of a renamed file.

        All listed files with its size are read.
        """
        size_bytes = row.source_bytes
        if size_bytes not in self._by_size:
            rows = np.flatnonzero(pc.equal(self.table["size_bytes"], size_bytes).to_numpy())
            images = take_rows(self.table, rows)
            hashes = file_hasher(self.listing, self._options)(images)
            self._by_size[size_bytes] = dict(zip(hashes, self._take(images), strict=True))
        return self._by_size[size_bytes].get(bytes.fromhex(row.source_xxh3_128))

    def normalize(self, images: Iterable[SourceImage]) -> Iterator[PrefetchedImage]:
        """Yield each image, normalized or rejected, with the hash of its file."""
        images = list(images)
        if not images:
            return iter(())
        chunks = prefetch_images(
            images,
            self._files,
            self._base.settings.images,
            normalize=normalize_image,
            threads=available_cpus(),
            inline_until_blocked=False,
            timeout_s=_IMAGE_TIMEOUT,
            isolate=partial(SubprocessNormalizer, _IMAGE_TIMEOUT),
        )
        return chain.from_iterable(chunks)

    @staticmethod
    def _take(images: pa.Table) -> Iterator[SourceImage]:
        return starmap(SourceImage, iter_rows(images, *images.column_names))


def make_options(dataset: str, source: str, given: Mapping[str, Any]) -> ConvertOptions:
    """Return the options of a repair.

    Args:
        dataset: the path or URL of the dataset.
        source: the path or URL of the source.
        given: the options that describe the source, as `convert` has them, and `dry_run`.

    Raises:
        UsageError: an option does not describe a source, has the wrong type, or is out of range.
    """
    if unknown := sorted(given.keys() - _SOURCE_OPTIONS):
        raise UsageError(
            f"argument {unknown[0]}: it does not describe the source",
            hint="omit it: the options of the dataset apply",
        )
    return convert_options(
        {**given, "source": source, "output": dataset, "append": True, "allow_new_classes": True}
    )
