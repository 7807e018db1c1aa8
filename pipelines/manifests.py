"""The manifest that a plan and its outcome make, alone or as one generation more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pipelines.outcome import Outcome
from pipelines.plan import Plan
from records.index import ShardFacts
from records.layout import SPLITS, Split
from records.manifest import FORMAT_VERSION, Generation, Manifest, Shard, SplitFacts

_NOTHING = SplitFacts(0, 0, (), ())


def make_manifest(plan: Plan, outcome: Outcome, base: Manifest | None = None) -> Manifest:
    """The manifest of a first generation, or of `base` and one more."""
    generation = Generation(
        number=plan.generation,
        plan_digest=plan.digest,
        encoders=dict(outcome.encoders),
        counts=outcome.counts,
    )
    return Manifest(
        format_version=FORMAT_VERSION,
        labels=plan.labels,
        settings=plan.settings,
        splits=add_up_splits(outcome.facts, len(plan.labels), {} if base is None else base.splits),
        cut_offs=plan.cut_offs,
        generations=(*(() if base is None else base.generations), generation),
    )


def add_up_splits(
    facts: Iterable[ShardFacts], classes: int, before: Mapping[Split, SplitFacts]
) -> dict[Split, SplitFacts]:
    """The splits of shards, behind those that were there before."""
    shards: dict[Split, list[ShardFacts]] = {split: [] for split in SPLITS}
    for shard in facts:
        shards[shard.split].append(shard)
    return {
        split: _split(members, classes, before.get(split, _NOTHING))
        for split, members in shards.items()
        if members or split in before
    }


def _split(members: Sequence[ShardFacts], classes: int, before: SplitFacts) -> SplitFacts:
    by_label = Counter(dict(enumerate(before.class_records)))
    for shard in members:
        by_label.update(shard.class_records)
    own = (Shard(s.name, s.records, s.bytes, s.xxh3_128) for s in members)
    return SplitFacts(
        records=before.records + sum(shard.records for shard in members),
        bytes=before.bytes + sum(shard.bytes for shard in members),
        class_records=tuple(by_label[label] for label in range(classes)),
        shards=(*before.shards, *own),
    )
