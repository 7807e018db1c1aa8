"""The manifest of a feature store, `features.json`.

The manifest is canonical JSON and is written last; reading checks it strictly. Its key is the hash
of everything that determines the features: name and weights of the backbone, image size, pooling,
data type, normalization and decoding of the images, and the shards. The key does not depend on the
version of Keras, because published weights must give the same features with later versions. It also
does not depend on the precision of the computation, which differs between processors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import xxhash

from records.arguments import NotNegative, Positive
from records.errors import CorruptDataError, UsageError
from records.format.manifest import Digest, ShardInfo
from records.images import ImageOptions
from records.strict_json import decode_versioned, encode_canonical
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from trainers.config import ImageShape
from trainers.features import MANIFEST
from trainers.input.tensor_files import ArrayFormat
from trainers.options import FeatureType, Pooling

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from records.storage import Storage

FORMAT_VERSION = 2


class FeatureSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything that determines the features of a record, except the record itself.

    Attributes:
        model: the backbone, a name in `trainers.models.MODELS`.
        weights: the digest of the weights of the backbone.
        shape: the shape of the images that the backbone receives.
        pooling: the pooling of the backbone's feature map: avg, max or flatten.
        dtype: the data type in which features are stored; they are computed and returned in
            float32.
        features: the number of features per record.
        images: the normalization of the images of the dataset.
        decoder: the version of the decoder.
        multi_hot: the number of classes if the dataset is multi-label; otherwise absent.
    """

    model: str
    weights: Digest
    shape: ImageShape
    pooling: Pooling
    dtype: FeatureType
    features: Positive
    images: ImageOptions
    decoder: Annotated[int, msgspec.Meta(ge=1)]
    multi_hot: NotNegative = 0

    @property
    def format(self) -> ArrayFormat:
        """Return the type and shape of a stored record."""
        return ArrayFormat(self.dtype, (self.features,), self.multi_hot)


class SkippedRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """A damaged record, of which a store has no features: its shard, its number and its key."""

    shard: str
    record: Annotated[int, msgspec.Meta(ge=0)]
    key: str


class FeatureManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The content of `features.json`.

    Attributes:
        format_version: the version of the file format.
        key: the hash of `spec` and `shards`.
        keras: the version of Keras that computed the features.
        spec: the specification of the features.
        shards: the shards of the dataset, each with a file of features.
        skipped: the damaged records, sorted; their rows have the label -1, or no
            labels, and features of 0.
    """

    format_version: int
    key: Digest
    keras: str
    spec: FeatureSpec
    shards: tuple[ShardInfo, ...]
    skipped: tuple[SkippedRecord, ...] = ()

    def skipped_in(self, shards: Iterable[ShardInfo]) -> frozenset[tuple[str, int]]:
        """Return (shard name, record number) of the skipped records in some shards."""
        names = {shard.name for shard in set(shards) & set(self.shards)}
        return frozenset((it.shard, it.record) for it in self.skipped if it.shard in names)


def require_few_skipped(skipped: Sequence[SkippedRecord], limit: int, *, path: str) -> None:
    """Check that at most `limit` records have no features. Raises CorruptDataError."""
    if len(skipped) > limit:
        first = skipped[0]
        raise CorruptDataError(
            f"{escape_for_display(first.key)}: this record is damaged, and has no features",
            path=path,
            shard=first.shard,
            record=first.record,
            expected=f"at most {pluralize(limit, 'damaged record')}",
            got=len(skipped),
            hint=f"repair the dataset and remove the features, or add --skip-bad {len(skipped)}",
        )


def store_key(spec: FeatureSpec, shards: Sequence[ShardInfo]) -> str:
    """Return the key of a store, 32 hexadecimal digits."""
    return _hash((FORMAT_VERSION, spec, shards))


def file_identity(spec: FeatureSpec, shard: ShardInfo) -> str:
    """Return the hash that identifies the features of a shard, in any store."""
    return _hash((FORMAT_VERSION, spec, shard))


def _hash(content: object) -> str:
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode(content, order="sorted"))


def encode_manifest(manifest: FeatureManifest) -> bytes:
    """Return the canonical bytes of a manifest."""
    return encode_canonical(manifest)


def read_manifest(storage: Storage, name: str = MANIFEST) -> FeatureManifest | None:
    """Return the manifest of a store, or None if the store has no manifest.

    Raises:
        CorruptDataError: the manifest is invalid, inconsistent, or of a later version.
    """
    try:
        content = storage.read(name)
    except FileNotFoundError:
        return None
    return decode_manifest(content, path=storage.display_name(name))


def decode_manifest(content: bytes, *, path: str) -> FeatureManifest:
    """Decode a manifest. Raises CorruptDataError, whose message contains `path`."""
    manifest = decode_versioned(
        content,
        FeatureManifest,
        version=FORMAT_VERSION,
        what="a feature store manifest",
        path=path,
    )
    try:
        manifest.spec.images.validate()
    except UsageError as error:
        raise CorruptDataError(error.what, path=path, got=error.got) from error
    key = store_key(manifest.spec, manifest.shards)
    if manifest.key != key:
        raise CorruptDataError(
            "the key of the manifest does not match its content",
            path=path,
            expected=key,
            got=manifest.key,
        )
    records = {shard.name: shard.records for shard in manifest.shards}
    for skipped in manifest.skipped:
        if skipped.record >= records.get(skipped.shard, 0):
            raise CorruptDataError(
                "the manifest names a skipped record that the dataset does not have",
                path=path,
                got=f"record {skipped.record} of {escape_for_display(skipped.shard)}",
            )
    return manifest


def check_fits(
    found: FeatureManifest, wanted: FeatureSpec, shards: Sequence[ShardInfo], *, path: str
) -> None:
    """Check that a store contains the wanted features; their data type may differ.

    Raises:
        UsageError: anything else differs; the message lists the differences.
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
            "the feature store was made with "
            + " and ".join(f"a different {part}" for part, _, _ in differences),
            path=path,
            expected=", ".join(each for _, each, _ in differences),
            got=", ".join(there for _, _, there in differences),
            hint="omit --features, or create a store with `shardmill featurize`",
        )


def _missing_shards(
    found: FeatureManifest, shards: Sequence[ShardInfo]
) -> Iterator[tuple[str, str, str]]:
    there = {shard.name: shard for shard in found.shards}
    for shard in shards:
        same_name = there.get(shard.name)
        if same_name != shard:
            got = f"the hash {same_name.xxh3_128}" if same_name else "no shard of this name"
            yield "dataset", f"shard {shard.name} with hash {shard.xxh3_128}", got
            return


def _parts(spec: FeatureSpec) -> dict[str, str]:
    return {
        "model": spec.model,
        "set of weights": spec.weights,
        "image size": "x".join(map(str, spec.shape.array_shape)),
        "pooling": spec.pooling,
        "image normalization": msgspec.json.encode(spec.images).decode(),
        "decoder": f"version {spec.decoder}",
        "number of labels": f"{spec.multi_hot} multi-hot" if spec.multi_hot else "one",
    }
