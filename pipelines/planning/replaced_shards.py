"""Shards of earlier generations that a run writes again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from records.format.manifest import ShardInfo


class ReplacedShard(NamedTuple):
    """A shard without some of its records, with other labels, or in a compaction.

    Attributes:
        info: the replaced shard.
        class_records: the number of its records with each label.
        by: the name of the shard that takes its place; None if no shard does.
    """

    info: ShardInfo
    class_records: Mapping[int, int]
    by: str | None
