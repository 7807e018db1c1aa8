from __future__ import annotations

import random
from collections import Counter
from typing import Any

import msgspec
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from pipelines.planning.plan import Plan, make_plan
from pipelines.planning.split_hash import hash_keys
from pipelines.sources.base import SourceImage, Sources, new_image_table
from records.errors import UsageError
from records.format.digest import FORMAT_VERSION
from records.format.layout import shard_name
from records.format.manifest import Settings, SplitThreshold

LABELS = ("cat", "dog")


def images(count: int, *, size_bytes: int = 1000, **fields: Any) -> list[SourceImage]:
    return [
        SourceImage(b"%s/%d.png" % (LABELS[n % 2].encode(), n), n % 2, size_bytes, **fields)
        for n in range(count)
    ]


def plan_of(found: list[SourceImage], labels: tuple[str, ...] = LABELS, **settings: Any) -> Plan:
    return make_plan(Sources(labels, None, new_image_table(found)), Settings(**settings))


def splits_of(plan: Plan) -> dict[bytes, str]:
    return {image.key: shard.split for shard in plan.shards for image in shard.images}


@given(count=st.integers(1, 400), shards=st.integers(1, 60))
def test_plan_any_shard_count_assigns_each_image_exactly_once(count: int, shards: int) -> None:
    plan = plan_of(images(count), shards=shards)
    keys = [image.key for shard in plan.shards for image in shard.images]
    assert sorted(keys) == sorted(image.key for image in images(count))
    sizes = [len(shard.images) for shard in plan.shards]
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == min(count, shards)
    assert [shard.name for shard in plan.shards] == [
        shard_name("train", number, len(sizes)) for number in range(len(sizes))
    ]


# Around the number of items up to which an array has a short header, and that of rows in a block.
@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 1023, 1024, 1025, 1039, 1040, 9000])
def test_plan_digests_are_those_of_the_encoded_rows_in_key_order(count: int) -> None:
    found = [
        msgspec.structs.replace(image, group=b"g" if n % 3 else None, fingerprint=1 << 63 | n)
        for n, image in enumerate(images(count))
    ]
    plan = plan_of(found, validation=0.25 if count > 1000 else None)
    splits = splits_of(plan)
    digest, fingerprint = xxhash.xxh3_128(), xxhash.xxh3_128()
    head = (FORMAT_VERSION, plan.settings, LABELS)
    digest.update(msgspec.json.encode(head, order="sorted"))
    for image in sorted(found, key=lambda image: image.key):
        row = (image.key, image.label, splits[image.key], image.group, image.size_bytes)
        digest.update(msgspec.msgpack.encode(row))
        fingerprint.update(msgspec.msgpack.encode((image.key, image.fingerprint)))
    assert plan.digest == digest.hexdigest()
    assert plan.fingerprint == fingerprint.hexdigest()


@given(count=st.integers(2, 400), test=st.integers(1, 100), shards=st.integers(1, 30))
def test_plan_split_count_is_exact_and_no_shard_is_empty(
    count: int, test: int, shards: int
) -> None:
    test = min(test, count - 1)
    plan = plan_of(images(count), test=test, shards=shards)
    assert plan.split_images() == {"train": count - test, "test": test}
    assert all(shard.images for shard in plan.shards)
    assert plan.images == count


@pytest.mark.parametrize(
    ("count", "size_bytes", "settings", "expected"),
    [
        (10, 1000, {}, 1),
        (127, 1000, {}, 1),
        (128, 1000, {}, 2),
        (1023, 1000, {}, 15),
        (1024, 1000, {}, 16),
        (5000, 1000, {}, 16),
        (300, 1_000_000, {}, 4),  # by number of images; by size 3
        (300, 10_000_000, {}, 24),
        (300, 10_000_000, {"shard_mb": 1000}, 4),
        (3, 10_000_000, {"shard_mb": 1}, 3),  # never an empty one
        (300, 1000, {"shards": 7}, 7),
        (3, 1000, {"shards": 7}, 3),
    ],
)
def test_plan_shard_count_follows_image_count_size_and_settings(
    count: int, size_bytes: int, settings: dict[str, Any], expected: int
) -> None:
    assert len(plan_of(images(count, size_bytes=size_bytes), **settings).shards) == expected


def test_plan_shards_option_sets_train_and_scales_other_splits() -> None:
    plan = plan_of(images(1000), test=190, validation=10, shards=8)
    assert Counter(shard.split for shard in plan.shards) == {"train": 8, "test": 2, "validation": 1}


def test_plan_images_in_shards_are_ordered_by_hash() -> None:
    plan = plan_of(images(300), seed=5, shards=3)
    keys = [image.key for shard in plan.shards for image in shard.images]
    hashes = hash_keys(keys, 5).tolist()
    assert hashes == sorted(hashes)


@given(st.randoms(use_true_random=False))
def test_plan_shuffled_listing_gives_same_digest(chance: random.Random) -> None:
    found = images(100)
    shuffled = chance.sample(found, len(found))
    settings: dict[str, Any] = {"test": 0.2, "validation": 20, "shards": 3}
    one, other = plan_of(found, **settings), plan_of(shuffled, **settings)
    assert (one.digest, one.fingerprint, one.thresholds) == (
        other.digest,
        other.fingerprint,
        other.thresholds,
    )
    plans = [[shard.to_plan(plan) for shard in plan.shards] for plan in (one, other)]
    assert plans[0] == plans[1]


class TestDigest:
    @pytest.mark.parametrize(
        "settings",
        [{"seed": 1}, {"test": 0.3}, {"test": 6}, {"shards": 2}, {"shard_mb": 1}],
    )
    def test_plan_different_settings_give_different_digest(self, settings: dict[str, Any]) -> None:
        base: dict[str, Any] = {"test": 0.2}
        assert plan_of(images(30), **base | settings).digest != plan_of(images(30), **base).digest

    @pytest.mark.parametrize(
        "changed",
        [
            images(31),
            images(29),
            images(30, size_bytes=1001),
            images(30, group=b"g"),
            images(30, split="train")[:29] + images(30, split="test")[29:],
            [*images(29), SourceImage(b"dog/29.png", 0, 1000)],
            [*images(29), SourceImage(b"dog/x.png", 1, 1000)],
        ],
    )
    def test_plan_different_images_give_different_digest(self, changed: list[SourceImage]) -> None:
        assert plan_of(changed).digest != plan_of(images(30)).digest

    def test_plan_different_labels_give_different_digest(self) -> None:
        assert plan_of(images(30), ("dog", "cat")).digest != plan_of(images(30)).digest

    def test_plan_different_mtimes_change_only_the_fingerprint(self) -> None:
        one, other = plan_of(images(30)), plan_of(images(30, fingerprint=7))
        assert one.digest == other.digest
        assert one.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    "settings",
    [
        {"test": 0.3},
        {"test": 0.2, "validation": 0.2, "seed": 9},
        {"test": 17, "validation": 0.3},
        {"test": 0.2, "validation": 11},
        {"test": 0.3, "stratify": True},
        {"test": 20, "validation": 9, "stratify": True},
    ],
)
def test_split_thresholds_reproduce_split_of_every_image(settings: dict[str, Any]) -> None:
    found = images(150)
    plan = plan_of(found, **settings)
    cut_offs = {cut_off.label: cut_off for cut_off in plan.thresholds}
    seed = settings.get("seed", 0)
    hashes = hash_keys((image.key for image in found), seed).tolist()
    for image, hashed in zip(found, hashes, strict=True):
        cut_off = cut_offs[image.label if settings.get("stratify") else None]
        assert splits_of(plan)[image.key] == _split_by(cut_off, hashed)


def _split_by(cut_off: SplitThreshold, hashed: int) -> str:
    if hashed < int(cut_off.test, 16):
        return "test"
    return "validation" if hashed < int(cut_off.validation, 16) else "train"


def test_split_thresholds_without_splits_are_empty() -> None:
    assert plan_of(images(10)).thresholds == ()


@given(groups=st.integers(5, 40), seed=st.integers(0, 50))
def test_plan_groups_are_never_divided_between_splits(groups: int, seed: int) -> None:
    found = [
        SourceImage(b"cat/%d-%d.png" % (group, n), 0, 10, group=b"%d" % group)
        for group in range(groups)
        for n in range(1 + group % 5)
    ]
    try:
        plan = plan_of(found, test=0.4, seed=seed)
    except UsageError:
        return  # all groups fell to one side
    splits = splits_of(plan)
    for group in range(groups):
        assert len({splits[image.key] for image in found if image.group == b"%d" % group}) == 1


def test_plan_group_of_root_folder_is_never_divided() -> None:
    found = [SourceImage(b"%d.png" % n, 0, 10, group=b"") for n in range(20)]
    with pytest.raises(UsageError, match="would be empty"):
        plan_of(found, test=0.5)


class TestSplitSources:
    @pytest.fixture
    def found(self) -> list[SourceImage]:
        return [*images(100, split="train"), SourceImage(b"t.png", 0, 10, split="test")]

    def test_plan_split_folders_keep_their_splits(self, found: list[SourceImage]) -> None:
        assert plan_of(found).split_images() == {"train": 100, "test": 1}
        assert plan_of(found).thresholds == ()

    def test_plan_split_folders_take_validation_only_from_train(
        self, found: list[SourceImage]
    ) -> None:
        plan = plan_of(found, validation=30)
        assert plan.split_images() == {"train": 70, "test": 1, "validation": 30}
        assert splits_of(plan)[b"t.png"] == "test"

    def test_plan_requested_split_that_already_exists_is_refused(
        self, found: list[SourceImage]
    ) -> None:
        with pytest.raises(UsageError, match=r"already has a split test.*omit --test"):
            plan_of(found, test=0.5)


@pytest.mark.parametrize(
    ("count", "settings", "split"),
    [
        (3, {"test": 0.0001}, "test"),
        (3, {"validation": 0.0001}, "validation"),
        (3, {"test": 0.9999}, "train"),
        (3, {"test": 3}, "train"),
        (3, {"test": 4}, "train"),
        (3, {"test": 2, "validation": 2}, "train"),
        (1, {"test": 1}, "train"),
        (3, {"test": 0.01, "stratify": True}, "test"),
    ],
)
def test_plan_empty_split_is_refused_by_name(
    count: int, settings: dict[str, Any], split: str
) -> None:
    with pytest.raises(UsageError, match=f"the split {split} would be empty"):
        plan_of(images(count), **settings)
