"""Builder of small datasets, with the records package alone."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import xxhash
from PIL import Image

from records.format import layout
from records.format.digest import digest_of
from records.format.index import (
    IndexFile,
    IndexRow,
    Reject,
    ShardSummary,
    encode_index,
    new_row_table,
)
from records.format.label_map import format_labels
from records.format.manifest import (
    Counts,
    Generation,
    Manifest,
    Settings,
    ShardInfo,
    SplitInfo,
    encode_manifest,
    read_manifest,
)
from records.format.metadata.croissant import croissant_files
from records.format.shard import ShardWriter
from records.format.tfds_metadata import tfds_files
from records.format.tfrecord import HEADER_BYTES
from records.images import ImageOptions, NormalizedImage, normalize_image
from records.images.features import encode_image_example
from records.storage import Storage, open_storage, write_file
from records.text.keys import key_to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

LABELS = ("cat", "dog", "élan")
DIGEST = "0123456789abcdef" * 2


@dataclass(frozen=True)
class Source:
    """An image to store: its raw key, its label, its file."""

    key: bytes
    label: int
    data: bytes


def encode_picture(seed: int, *, size: tuple[int, int] = (12, 9), kind: str = "PNG") -> bytes:
    """Return an image of noise, the same for the same seed; `size` is width × height in px."""
    width, height = size
    samples = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(samples).save(content, kind)
    return content.getvalue()


def make_sources(count: int, *, first: int = 0) -> list[Source]:
    """Return sources of different sizes, labels and formats, with keys such as `cat/3.png`."""
    sources = []
    for seed in range(first, first + count):
        label, kind = seed % len(LABELS), ("PNG", "JPEG")[seed % 2]
        data = encode_picture(seed, size=(8 + seed % 5, 6 + seed % 3), kind=kind)
        key = f"{LABELS[label]}/{seed}.{kind.lower()}".encode()
        sources.append(Source(key, label, data))
    return sources


@dataclass
class DatasetBuilder:
    """Writer of a dataset: the shards of each split from lists of sources.

    The files in `replaced`, by key, are stored instead of the sources, without any check.
    """

    storage: Storage
    labels: tuple[str, ...] = LABELS
    images: ImageOptions = field(default_factory=ImageOptions)
    rejects: tuple[Reject, ...] = ()
    replaced: Mapping[bytes, bytes] = field(default_factory=dict)

    def build(self, splits: dict[layout.SplitName, Sequence[Sequence[Source]]]) -> Manifest:
        """Write all files, the manifest last; `splits` has one list of sources per shard."""
        facts = {name: self._write_split(name, shards) for name, shards in splits.items()}
        manifest = self._manifest(facts)
        files = {
            layout.LABELS: format_labels(self.labels),
            layout.REJECTS: b"".join(map(_json_line, self.rejects)),
            layout.SKIPPED: b"",
            **tfds_files(manifest),
            **croissant_files(manifest),
        }
        manifest = manifest.with_files(files)
        for name, content in (files | {layout.MANIFEST: encode_manifest(manifest)}).items():
            write_file(self.storage, name, content)
        return manifest

    def _manifest(self, splits: dict[layout.SplitName, SplitInfo]) -> Manifest:
        stored = sum(facts.records for facts in splits.values())
        rejected = len(self.rejects)
        counts = Counts(
            found=stored + rejected, stored=stored, rejected=rejected, skipped=0, excluded=0
        )
        return Manifest(
            labels=self.labels,
            settings=Settings(images=self.images),
            splits=splits,
            thresholds=(),
            generations=(Generation(1, DIGEST, {}, counts),),
            files={},
        )

    def _write_split(
        self, split: layout.SplitName, shards: Sequence[Sequence[Source]]
    ) -> SplitInfo:
        written = [
            self._write_shard(split, layout.shard_name(split, number, len(shards)), sources)
            for number, sources in enumerate(shards)
        ]
        labels = [source.label for sources in shards for source in sources]
        return SplitInfo(
            records=sum(shard.records for shard in written),
            bytes=sum(shard.bytes for shard in written),
            class_records=tuple(labels.count(label) for label in range(len(self.labels))),
            shards=tuple(written),
        )

    def _write_shard(
        self, split: layout.SplitName, name: str, sources: Sequence[Source]
    ) -> ShardInfo:
        with self.storage.create(name) as stream:
            writer = ShardWriter(stream)
            rows = [self._write_record(writer, source) for source in sources]
        labels = [source.label for source in sources]
        facts = ShardSummary(
            name=name,
            split=split,
            plan_digest=DIGEST,
            records=writer.records,
            bytes=writer.size_bytes,
            xxh3_128=writer.xxh3_128,
            sha256=writer.sha256,
            class_records={label: labels.count(label) for label in sorted(set(labels))},
        )
        index = encode_index(facts, new_row_table(rows))
        write_file(self.storage, layout.index_name(name), index)
        return IndexFile(facts, digest_of(index)).info

    def _write_record(self, writer: ShardWriter, source: Source) -> IndexRow:
        image = normalize_image(source.data, self.images)
        assert isinstance(image, NormalizedImage)
        if source.key in self.replaced:
            source = replace(source, data=self.replaced[source.key])
            image = msgspec.structs.replace(image, encoded=source.data, changes=())
        example = encode_image_example(
            image,
            key=source.key,
            labels=(source.label,),
            class_names=(self.labels[source.label],),
        )
        location = writer.write(example.payload)
        return IndexRow(
            key=key_to_text(source.key),
            label=source.label,
            offset=location.offset,
            length=location.length,
            image_offset=location.offset + HEADER_BYTES + example.image_offset,
            stored_bytes=len(image.encoded),
            format=image.format,
            width=image.width,
            height=image.height,
            channels=image.channels,
            source_bytes=len(source.data),
            source_xxh3_128=xxhash.xxh3_128_hexdigest(source.data),
            changes=image.changes,
        )


def _json_line(reject: Reject) -> bytes:
    return msgspec.json.encode(reject) + b"\n"


def sign_manifest(fields: dict[str, Any]) -> bytes:
    """Return `dataset.json` with these fields and the right digest, whether they are valid or not.

    The JSON module writes the bytes, because msgspec has a bound for integers.
    """
    others = {name: value for name, value in fields.items() if name != "sha256"}
    return _canonical_json(others | {"sha256": digest_of(_canonical_json(others)).sha256})


def _canonical_json(value: object) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the fields of the manifest of a dataset, and sign it again."""
    path = folder / layout.MANIFEST
    fields = json.loads(path.read_bytes())
    change(fields)
    path.write_bytes(sign_manifest(fields))


def replace_index(folder: Path, shard: str, content: bytes) -> None:
    """Replace the index of a shard; the manifest has the digest of the new one."""
    (folder / layout.index_name(shard)).write_bytes(content)
    storage = open_storage(folder)
    manifest = read_manifest(storage)
    digest = digest_of(content)
    splits = {
        split: msgspec.structs.replace(
            info,
            shards=tuple(
                msgspec.structs.replace(it, index=digest) if it.name == shard else it
                for it in info.shards
            ),
        )
        for split, info in manifest.splits.items()
    }
    manifest = msgspec.structs.replace(manifest, splits=splits)
    (folder / layout.MANIFEST).write_bytes(encode_manifest(manifest))
