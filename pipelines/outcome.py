"""What all shards of a plan came to: their facts gathered, and the sum over everything checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from pipelines.plan import Plan, PlannedShard
from pipelines.sources import Sources
from records.ahead import WAITING_THREADS, map_ahead
from records.errors import ShardmillError, StorageError
from records.images import encoder_versions
from records.index import Reject, ShardFacts, read_facts
from records.layout import index_name
from records.manifest import Counts
from records.storage import Storage
from records.text import key_from_text


@dataclass(frozen=True)
class Outcome:
    """What all shards came to."""

    facts: Sequence[ShardFacts]
    rejects: Sequence[Reject]
    counts: Counts
    encoders: Mapping[str, str] = field(default_factory=encoder_versions)


def gather(target: Storage, plan: Plan, sources: Sources) -> Outcome:
    """The facts of every planned shard, and the sum over everything found.

    Raises:
        ShardmillError: a shard accounts for more or fewer images than its plan: a bug of ours.
    """
    read = partial(_read_shard_facts, target, plan_digest=plan.digest)
    threads = 0 if target.is_local else WAITING_THREADS
    facts = list(map_ahead(read, plan.shards, threads=threads))
    rejects = [*sources.rejects, *(reject for shard in facts for reject in shard.rejects)]
    rejects.sort(key=lambda reject: key_from_text(reject.key))
    counts = Counts(
        found=sources.found,
        stored=sum(shard.records for shard in facts),
        rejected=len(rejects),
        skipped=sources.skipped,
        excluded=sources.excluded,
    )
    return Outcome(facts, rejects, counts)


def _read_shard_facts(target: Storage, planned: PlannedShard, plan_digest: str) -> ShardFacts:
    """A written shard's facts, which must account for every image of its plan."""
    try:
        facts = read_facts(target, index_name(planned.name))
    except FileNotFoundError as error:
        raise StorageError(
            "a shard was written and is not there",
            path=target.describe(planned.name),
            hint="all workers must reach the target at this path; nothing was published",
        ) from error
    present = target.facts(planned.name)
    whole = present is not None and present.size_bytes == facts.bytes
    accounted = facts.records + len(facts.rejects)
    if not whole or accounted != len(planned) or facts.plan_digest != plan_digest:
        raise ShardmillError(
            "a shard is not what its plan and its index say",
            path=target.describe(planned.name),
            expected=f"{len(planned)} images, {facts.bytes} bytes",
            got=f"{accounted} images, {present.size_bytes if present else 0} bytes",
            hint="this is a bug; nothing was published",
        )
    return facts
