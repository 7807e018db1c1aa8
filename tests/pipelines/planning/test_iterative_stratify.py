from __future__ import annotations

import random
from collections import Counter, defaultdict
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.planning.existing_splits import ExistingSplits
from pipelines.planning.plan import Plan, make_plan
from pipelines.sources.base import SourceImage, Sources, new_image_table
from records.errors import UsageError
from records.format.index import hash_group
from records.format.layout import SPLITS
from records.format.manifest import Settings
from tests.processor_time import processor_seconds

SHARES = {"train": 0.7, "test": 0.2, "validation": 0.1}
WANTED = {"test": 0.2, "validation": 0.1}


def make_images(
    count: int, classes: int, seed: int, *, groups: int | None = None, prefix: str = "a"
) -> list[SourceImage]:
    """Return images whose labels are as skewed and dependent as those of photos."""
    choose = random.Random(seed)
    scenes = [
        [label for label in range(classes) if choose.random() < 1.5 / (1 + label)]
        for _ in range(2 * classes)
    ]
    found = []
    for number in range(count):
        labels = {label for label in choose.choice(scenes) if choose.random() < 0.7}
        labels |= {label for label in range(classes) if choose.random() < 0.03}
        group = None if groups is None else b"%d" % choose.randrange(groups)
        key = f"{prefix}/{number}.png".encode()
        found.append(SourceImage(key, -1, 1000, group=group, labels=sorted(labels)))
    return found


def plan_of(
    found: list[SourceImage], classes: int, existing: ExistingSplits | None = None, **settings: Any
) -> Plan:
    names = tuple(f"class {number:03}" for number in range(classes))
    sources = Sources(names, None, new_image_table(found))
    given = {"task": "multi-label", "stratify": True, **WANTED, **settings}
    return make_plan(sources, Settings(**given), existing=existing)


def splits_of(plan: Plan) -> dict[bytes, str]:
    return {image.key: shard.split for shard in plan.shards for image in shard.images}


def deviations_of(found: list[SourceImage], splits: dict[bytes, str]) -> dict[int, float]:
    """Return how many images of each label are in a wrong split, compared with its wish."""
    counts = {split: Counter[int]() for split in SHARES}
    for image in found:
        counts[splits[image.key]].update(image.labels or ())
    totals = sum(counts.values(), Counter[int]())
    return {
        label: max(abs(counts[split][label] - share * total) for split, share in SHARES.items())
        for label, total in totals.items()
    }


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("count", "classes"), [(60, 3), (300, 8), (1000, 30), (400, 100)])
def test_iterative_split_shares_of_labels_are_nearer_to_the_wish_than_by_hash(
    count: int, classes: int, seed: int
) -> None:
    found = make_images(count, classes, seed)
    stratified = deviations_of(found, splits_of(plan_of(found, classes)))
    by_hash = deviations_of(found, splits_of(plan_of(found, classes, stratify=False)))
    assert sum(stratified.values()) < 0.75 * sum(by_hash.values())
    # The frequent labels are last, and get what their images leave.
    nearer = sum(off <= max(1, by_hash[label]) for label, off in stratified.items())
    assert nearer > 0.6 * len(by_hash)


@pytest.mark.parametrize("seed", range(6))
def test_iterative_split_shares_of_labels_of_groups_are_nearer_than_by_hash(seed: int) -> None:
    found = make_images(600, 10, seed, groups=120)
    plan = plan_of(found, 10)
    splits = splits_of(plan)
    members = defaultdict(set)
    for image in found:
        members[image.group].add(splits[image.key])
    assert {len(of_group) for of_group in members.values()} == {1}
    by_hash = splits_of(plan_of(found, 10, stratify=False))
    assert sum(deviations_of(found, splits).values()) < sum(deviations_of(found, by_hash).values())
    sizes = plan.split_images()
    assert abs(sizes["test"] - 120) <= 12
    assert abs(sizes["validation"] - 60) <= 12


@given(data=st.data(), count=st.integers(4, 60), classes=st.integers(1, 6))
def test_iterative_split_sizes_are_exact(data: st.DataObject, count: int, classes: int) -> None:
    found = make_images(count, classes, data.draw(st.integers(0, 99)))
    test = data.draw(st.integers(1, count - 2))
    validation = data.draw(st.integers(1, count - 1 - test))
    plan = plan_of(found, classes, test=test, validation=validation)
    sizes = {"train": count - test - validation, "test": test, "validation": validation}
    assert plan.split_images() == sizes
    halves = plan_of(found, classes, test=0.5, validation=None)
    assert halves.split_images()["test"] == (count + 1) // 2


@given(seed=st.integers(0, 99), grouped=st.booleans())
def test_iterative_split_does_not_depend_on_the_order_of_the_listing(
    seed: int, grouped: bool
) -> None:
    found = make_images(80, 5, seed, groups=30 if grouped else None)
    plan = plan_of(found, 5)
    random.Random(seed).shuffle(found)
    assert plan_of(found, 5).digest == plan.digest


def test_iterative_split_ties_follow_the_hash() -> None:
    found = [SourceImage(b"%d.png" % n, -1, 1, labels=[0]) for n in range(40)]
    chosen = {
        frozenset(
            key
            for key, split in splits_of(
                plan_of(found, 1, test=0.5, validation=None, seed=n)
            ).items()
            if split == "test"
        )
        for n in range(8)
    }
    assert {len(keys) for keys in chosen} == {20}
    assert len(chosen) == 8


def test_iterative_split_images_without_a_label_have_the_requested_shares() -> None:
    found = [SourceImage(b"%d.png" % n, -1, 1, labels=[0] if n < 50 else []) for n in range(150)]
    splits = splits_of(plan_of(found, 1))
    unlabelled = Counter(splits[image.key] for image in found if not image.labels)
    assert unlabelled == {"train": 70, "test": 20, "validation": 10}


def test_iterative_split_of_the_source_is_kept() -> None:
    found = [
        SourceImage(b"%d.png" % n, -1, 1, labels=[n % 3], split="test" if n < 30 else None)
        for n in range(130)
    ]
    plan = plan_of(found, 3, test=None, validation=0.1)
    assert plan.split_images() == {"train": 90, "test": 30, "validation": 10}
    assert all(splits_of(plan)[image.key] == "test" for image in found[:30])


def test_iterative_split_that_would_be_empty_is_refused() -> None:
    found = [SourceImage(b"%d.png" % n, -1, 1, labels=[0]) for n in range(3)]
    with pytest.raises(UsageError, match="the split test would be empty"):
        plan_of(found, 1, test=0.01)


class TestAppend:
    """New images continue the stratification of the existing ones."""

    @staticmethod
    def existing(found: list[SourceImage], plan: Plan, classes: int) -> ExistingSplits:
        splits = {key: SPLITS.index(split) for key, split in splits_of(plan).items()}
        records = np.zeros(3, np.int64)
        by_class = np.zeros((classes, 3), np.int64)
        for image in found:
            records[splits[image.key]] += 1
            by_class[image.labels, splits[image.key]] += 1
        groups = {hash_group(it.group): splits[it.key] for it in found if it.group is not None}
        return ExistingSplits(
            plan.thresholds,
            records,
            by_class,
            np.array(sorted(groups), np.uint64),
            np.array([groups[group] for group in sorted(groups)], np.int8),
        )

    @pytest.mark.parametrize("sizes", [{}, {"test": 60, "validation": 30}])
    @pytest.mark.parametrize("seed", range(4))
    def test_shares_are_those_of_all_generations(self, seed: int, sizes: dict[str, Any]) -> None:
        """Also with counts: the split keeps its share of the images."""
        found = make_images(300, 6, seed)
        plan = plan_of(found, 6, **sizes)
        new = make_images(200, 8, seed + 50, prefix="b")  # with two new classes
        later = plan_of(new, 8, self.existing(found, plan, 6), **sizes)
        assert later.thresholds == plan.thresholds
        splits = splits_of(plan) | splits_of(later)
        assert Counter(splits.values()) == {"train": 350, "test": 100, "validation": 50}
        off = sorted(deviations_of(found + new, splits).values())
        assert off[-2] <= 2

    def test_no_new_images_and_only_images_of_known_groups_are_planned(self) -> None:
        found = make_images(60, 3, 1, groups=12)
        plan = plan_of(found, 3)
        existing = self.existing(found, plan, 3)
        assert plan_of([], 3, existing).shards == ()
        again = [SourceImage(b"b/" + it.key, -1, 1, group=it.group, labels=[]) for it in found]
        splits = splits_of(plan_of(again, 3, existing))
        assert {key[2:]: split for key, split in splits.items()} == splits_of(plan)

    def test_new_images_of_a_group_are_in_the_split_of_the_group(self) -> None:
        found = make_images(200, 5, 1, groups=40)
        plan = plan_of(found, 5)
        new = make_images(200, 5, 2, groups=60, prefix="b")
        splits = splits_of(plan) | splits_of(plan_of(new, 5, self.existing(found, plan, 5)))
        pairs = sorted({(str(image.group), splits[image.key]) for image in found + new})
        assert all(len([*same]) == 1 for _, same in groupby(pairs, key=lambda pair: pair[0]))


def test_iterative_split_takes_time_in_proportion_to_the_images() -> None:
    small, large = make_images(2000, 40, 0), make_images(2000, 40, 0) * 8
    large = [SourceImage(b"%d" % n, -1, 1, labels=it.labels) for n, it in enumerate(large)]
    fast = min(processor_seconds(lambda: plan_of(small, 40)) for _ in range(3))
    assert processor_seconds(lambda: plan_of(large, 40)) < 8 * 3 * fast + 0.1


def test_plan_iterative_time_is_linear_in_the_number_of_classes() -> None:
    def seconds(classes: int) -> float:
        found = [
            SourceImage(b"a/%d.png" % number, -1, 1000, labels=[number])
            for number in range(classes)
        ]
        return processor_seconds(lambda: plan_of(found, classes))

    # Four times the classes take four times as long; a quadratic cost would be sixteen times.
    assert seconds(16_000) < 12 * max(seconds(4_000), 0.05)
