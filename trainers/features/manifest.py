"""`features.json`: what the features of a store follow from; written last: there ⇔ complete.

Canonical JSON, strictly checked when read. Its key is the hash of all that decides the features:
the base's name and weights, how it is fed and pooled, how the dataset's images were made and are
decoded, and the shards themselves. Keras's version is told, but is no part of it: whatever trained
weights were published for, a later Keras must compute, or they would be worth nothing. Nor is the
precision of the computation, which differs between processors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import xxhash

from records.errors import CorruptDataError, UsageError
from records.format.manifest import Digest, ShardInfo
from records.images import ImageOptions
from records.strict_json import decode_versioned, encode_canonical
from trainers.config import ImageShape
from trainers.input.tensor_files import ArrayFormat
from trainers.options import Pooling, Positive

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from records.storage import Storage

FORMAT_VERSION = 1
MANIFEST = "features.json"

FeatureType = Literal["float16", "float32"]


class FeatureSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a record's features follow from, but the record.

    Args:
        model: the base, a name in `trainers.models.MODELS`.
        weights: a digest of its weights.
        shape: what it is fed.
        pooling: how its last feature map becomes features.
        dtype: what features are kept as; they are computed, and given, as float32.
        features: how many a record has.
        images: how the dataset's images were made.
        decoder: the version of the decoder.
    """

    model: str
    weights: Digest
    shape: ImageShape
    pooling: Pooling
    dtype: FeatureType
    features: Positive
    images: ImageOptions
    decoder: Annotated[int, msgspec.Meta(ge=1)]

    @property
    def format(self) -> ArrayFormat:
        """What a record holds."""
        return ArrayFormat(self.dtype, (self.features,))


class FeatureManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of `features.json`.

    Args:
        format_version: of this file.
        key: the hash of what follows, but `keras`.
        keras: the version of Keras that computed the features.
        spec: what they are.
        shards: of the dataset; each has a file.
    """

    format_version: int
    key: Digest
    keras: str
    spec: FeatureSpec
    shards: tuple[ShardInfo, ...]


def store_key(spec: FeatureSpec, shards: Sequence[ShardInfo]) -> str:
    """The key of a store, 32 hexadecimal digits."""
    return _hash((FORMAT_VERSION, spec, shards))


def file_identity(spec: FeatureSpec, shard: ShardInfo) -> str:
    """What the content of a shard's file follows from; the same in every store that has it."""
    return _hash((FORMAT_VERSION, spec, shard))


def _hash(content: object) -> str:
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode(content, order="sorted"))


def encode_manifest(manifest: FeatureManifest) -> bytes:
    """The canonical bytes of a manifest."""
    return encode_canonical(manifest)


def read_manifest(storage: Storage, name: str = MANIFEST) -> FeatureManifest | None:
    """The manifest of a store, None where there is none.

    Raises:
        CorruptDataError: it is not one, or contradicts itself, or a later version wrote it.
    """
    try:
        content = storage.read(name)
    except FileNotFoundError:
        return None
    return decode_manifest(content, path=storage.display_name(name))


def decode_manifest(content: bytes, *, path: str) -> FeatureManifest:
    """A manifest from its bytes. Raises CorruptDataError, with `path` in it."""
    manifest = decode_versioned(
        content,
        FeatureManifest,
        version=FORMAT_VERSION,
        what="a feature store's manifest",
        path=path,
    )
    try:
        manifest.spec.images.validate()
    except UsageError as error:
        raise CorruptDataError(error.what, path=path, got=error.got) from error
    key = store_key(manifest.spec, manifest.shards)
    if manifest.key != key:
        raise CorruptDataError(
            "the manifest contradicts itself in the key", path=path, expected=key, got=manifest.key
        )
    return manifest


def check_fits(
    found: FeatureManifest, wanted: FeatureSpec, shards: Sequence[ShardInfo], *, path: str
) -> None:
    """Refuse a store that holds other features than those wanted, whatever they are kept as.

    Raises:
        UsageError: it says which parts differ.
    """
    differences = [
        *_missing_shards(found, shards),
        *(
            (part, each, there)
            for (part, each), there in zip(
                _parts(wanted).items(), _parts(found.spec).values(), strict=True
            )
            if each != there
        ),
    ]
    if differences:
        raise UsageError(
            f"the feature store is of another {' and another '.join(p for p, _, _ in differences)}",
            path=path,
            expected=", ".join(each for _, each, _ in differences),
            got=", ".join(there for _, _, there in differences),
            hint="leave out --features, or make a store for this by `shardmill featurize`",
        )


def _missing_shards(
    found: FeatureManifest, shards: Sequence[ShardInfo]
) -> Iterator[tuple[str, str, str]]:
    there = {shard.name: shard for shard in found.shards}
    for shard in shards:
        same_name = there.get(shard.name)
        if same_name != shard:
            got = f"one of {same_name.xxh3_128}" if same_name else "none of this name"
            yield "dataset", f"a shard {shard.name} of hash {shard.xxh3_128}", got
            return


def _parts(spec: FeatureSpec) -> dict[str, str]:
    return {
        "model": spec.model,
        "set of weights": spec.weights,
        "image size": "x".join(map(str, spec.shape.array_shape)),
        "pooling": spec.pooling,
        "way of making images": msgspec.json.encode(spec.images).decode(),
        "decoder": f"version {spec.decoder}",
    }
