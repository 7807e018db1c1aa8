"""Tests of the manifest of a feature store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from records.errors import CorruptDataError, UsageError
from records.format.digest import FileDigest
from records.format.manifest import ShardInfo
from records.images import ImageOptions
from trainers.config import ImageShape
from trainers.features.manifest import (
    FORMAT_VERSION,
    FeatureManifest,
    FeatureSpec,
    check_fits,
    decode_manifest,
    encode_manifest,
    file_identity,
    store_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SPEC = FeatureSpec(
    model="mobilenet_v2",
    weights="0" * 32,
    shape=ImageShape(224, 224),
    pooling="avg",
    dtype="float16",
    features=1280,
    images=ImageOptions(),
    decoder=1,
)
SHARDS = tuple(
    ShardInfo(
        f"train-{number:05}-of-00002.tfrecord",
        5,
        100,
        f"{number}" * 32,
        f"{number}" * 64,
        FileDigest(0, "0" * 64),
    )
    for number in (0, 1)
)
CHANGES: dict[str, Any] = {
    "model": "vgg16",
    "weights": "1" * 32,
    "shape": ImageShape(224, 192),
    "pooling": "max",
    "dtype": "float32",
    "features": 7,
    "images": ImageOptions(channels=1),
    "decoder": 2,
    "multi_hot": 3,
}
replace = msgspec.structs.replace


def make_manifest(spec: FeatureSpec = SPEC) -> FeatureManifest:
    return FeatureManifest(FORMAT_VERSION, store_key(spec, SHARDS), "3.15.1", spec, SHARDS)


def test_feature_manifest_encoded_then_decoded_is_unchanged() -> None:
    manifest = make_manifest()
    assert decode_manifest(encode_manifest(manifest), path="x") == manifest


def test_store_key_changes_with_every_field_and_shard() -> None:
    assert set(CHANGES) == set(SPEC.__struct_fields__)
    specs = [SPEC, *(replace(SPEC, **{name: value}) for name, value in CHANGES.items())]
    keys = {store_key(spec, SHARDS) for spec in specs}
    keys |= {store_key(SPEC, SHARDS[:1]), store_key(SPEC, (SHARDS[0], SHARDS[0]))}
    assert len(keys) == len(specs) + 2
    assert len({file_identity(spec, SHARDS[0]) for spec in specs}) == len(specs)
    assert file_identity(SPEC, SHARDS[0]) != file_identity(SPEC, SHARDS[1])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-3], "this is not a feature store manifest"),
        (lambda text: text.replace('"avg"', '"sum"'), "Invalid enum value"),
        (lambda text: text.replace('"avg"', '"max"'), "the key of the manifest does not match"),
        (lambda text: text.replace("{", '{"more": 1,', 1), "unknown field"),
        (lambda text: text.replace('version": 2', 'version": 3'), "of a later version"),
        (lambda text: text.replace('version": 2', 'version": 1'), "of an earlier version"),
        (lambda text: text.replace("train-00001", "../x"), "this is not a feature"),
        (lambda text: text.replace('quality": 95', 'quality": 101'), "quality"),
    ],
)
def test_feature_manifest_damaged_content_is_refused(
    damage: Callable[[str], str], message: str
) -> None:
    text = encode_manifest(make_manifest()).decode()
    assert damage(text) != text
    with pytest.raises(CorruptDataError, match=message):
        decode_manifest(damage(text).encode(), path="x")


def test_check_fits_store_with_more_shards_is_accepted() -> None:
    check_fits(make_manifest(), SPEC, SHARDS[1:], path="x")


def test_check_fits_different_dtype_is_accepted() -> None:
    check_fits(make_manifest(replace(SPEC, dtype="float32")), SPEC, SHARDS, path="x")


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("model", "a different model, expected mobilenet_v2, got vgg16"),
        ("weights", "a different set of weights, expected 00"),
        ("shape", "a different image size, expected 224x224x3, got 224x192x3"),
        ("pooling", "a different pooling, expected avg, got max"),
        ("images", "a different image normalization"),
        ("decoder", "a different decoder, expected version 1, got version 2"),
        ("multi_hot", "a different number of labels, expected one, got 3 multi-hot"),
    ],
)
def test_check_fits_different_field_is_refused_by_name(part: str, said: str) -> None:
    found = make_manifest(replace(SPEC, **{part: CHANGES[part]}))
    with pytest.raises(UsageError) as caught:
        check_fits(found, SPEC, SHARDS, path="/x")
    assert str(caught.value).startswith("/x: the feature store was made with a different ")
    assert said in str(caught.value)


def test_check_fits_several_differences_are_reported_together() -> None:
    found = make_manifest(replace(SPEC, model="vgg16", pooling="max"))
    with pytest.raises(UsageError, match="a different model and a different pooling"):
        check_fits(found, SPEC, SHARDS, path="/x")


@pytest.mark.parametrize(
    ("shard", "got"),
    [
        (replace(SHARDS[0], xxh3_128="f" * 32), f"the hash {'0' * 32}"),
        (replace(SHARDS[0], name="train-00000-of-00003.tfrecord"), "no shard of this name"),
    ],
)
def test_check_fits_store_of_other_dataset_is_refused(shard: ShardInfo, got: str) -> None:
    with pytest.raises(UsageError, match="a different dataset") as caught:
        check_fits(make_manifest(), SPEC, (SHARDS[1], shard), path="/x")
    assert got in str(caught.value)
