"""Keys that a dataset has twice."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from records.reports.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def check_keys(keys: Mapping[str, pa.ChunkedArray]) -> Iterator[Finding]:
    """A finding for each record whose key an earlier one has; `keys` are each shard's, in order."""
    if not keys:
        return
    everything = pa.chunked_array(
        [chunk for column in keys.values() for chunk in column.chunks], pa.string()
    )
    counted = pc.value_counts(everything)
    repeated = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
    places = pc.indices_nonzero(pc.is_in(everything, value_set=repeated)).to_pylist()
    files = list(keys)
    ends = list(accumulate(len(column) for column in keys.values()))
    first: dict[str, str] = {}
    for place in places:
        number = bisect_right(ends, place)
        record = place - (ends[number] - len(keys[files[number]]))
        key = everything[place].as_py()
        if key in first:
            detail = f"{first[key]} has the same key"
            yield Finding("duplicate-key", files[number], detail, record=record, key=key)
        else:
            first[key] = f"{files[number]} record {record}"
