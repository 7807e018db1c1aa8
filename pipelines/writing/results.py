"""What all shards of a plan came to: their facts gathered, and the sum over everything checked.

The manifest that a plan and its outcome make, alone or as one generation more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from pipelines.planning.plan import Plan, PlannedShard
from pipelines.sources.base import Sources
from records.errors import ShardmillError, StorageError
from records.format.index import Reject, ShardSummary, read_shard_summary
from records.format.layout import SPLITS, SplitName, index_name
from records.format.manifest import (
    FORMAT_VERSION,
    Counts,
    Generation,
    Manifest,
    ShardInfo,
    SplitInfo,
)
from records.images import encoder_versions
from records.runtime.parallel_map import IO_THREADS, parallel_map
from records.storage import Storage
from records.text.keys import key_from_text


@dataclass(frozen=True)
class ConversionResult:
    """What all shards came to."""

    facts: Sequence[ShardSummary]
    rejects: Sequence[Reject]
    counts: Counts
    encoders: Mapping[str, str] = field(default_factory=encoder_versions)


def collect_results(output: Storage, plan: Plan, sources: Sources) -> ConversionResult:
    """The facts of every planned shard, and the sum over everything found.

    Raises:
        ShardmillError: a shard accounts for more or fewer images than its plan: a bug of ours.
    """
    read = partial(_read_shard_facts, output, plan_digest=plan.digest)
    threads = 0 if output.is_local else IO_THREADS
    facts = list(parallel_map(read, plan.shards, threads=threads))
    rejects = [*sources.rejects, *(reject for shard in facts for reject in shard.rejects)]
    rejects.sort(key=lambda reject: key_from_text(reject.key))
    counts = Counts(
        found=sources.found,
        stored=sum(shard.records for shard in facts),
        rejected=len(rejects),
        skipped=sources.skipped,
        excluded=sources.excluded,
    )
    return ConversionResult(facts, rejects, counts)


def _read_shard_facts(output: Storage, planned: PlannedShard, plan_digest: str) -> ShardSummary:
    """A written shard's facts, which must account for every image of its plan."""
    try:
        facts = read_shard_summary(output, index_name(planned.name))
    except FileNotFoundError as error:
        raise StorageError(
            "a shard was written and is not there",
            path=output.display_name(planned.name),
            hint="all workers must reach the output at this path; nothing was published",
        ) from error
    present = output.stat(planned.name)
    whole = present is not None and present.size_bytes == facts.bytes
    accounted = facts.records + len(facts.rejects)
    if not whole or accounted != len(planned) or facts.plan_digest != plan_digest:
        raise ShardmillError(
            "a shard is not what its plan and its index say",
            path=output.display_name(planned.name),
            expected=f"{len(planned)} images, {facts.bytes} bytes",
            got=f"{accounted} images, {present.size_bytes if present else 0} bytes",
            hint="this is a bug; nothing was published",
        )
    return facts


_NOTHING = SplitInfo(0, 0, (), ())


def make_manifest(plan: Plan, outcome: ConversionResult, base: Manifest | None = None) -> Manifest:
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
        splits=merge_splits(outcome.facts, len(plan.labels), {} if base is None else base.splits),
        thresholds=plan.cut_offs,
        generations=(*(() if base is None else base.generations), generation),
    )


def merge_splits(
    facts: Iterable[ShardSummary], classes: int, before: Mapping[SplitName, SplitInfo]
) -> dict[SplitName, SplitInfo]:
    """The splits of shards, behind those that were there before."""
    shards: dict[SplitName, list[ShardSummary]] = {split: [] for split in SPLITS}
    for shard in facts:
        shards[shard.split].append(shard)
    return {
        split: _split(members, classes, before.get(split, _NOTHING))
        for split, members in shards.items()
        if members or split in before
    }


def _split(members: Sequence[ShardSummary], classes: int, before: SplitInfo) -> SplitInfo:
    by_label = Counter(dict(enumerate(before.class_records)))
    for shard in members:
        by_label.update(shard.class_records)
    own = (ShardInfo(s.name, s.records, s.bytes, s.xxh3_128) for s in members)
    return SplitInfo(
        records=before.records + sum(shard.records for shard in members),
        bytes=before.bytes + sum(shard.bytes for shard in members),
        class_records=tuple(by_label[label] for label in range(classes)),
        shards=(*before.shards, *own),
    )
