"""Batches of Parquet files of any size."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from records.untrusted_parquet import ParquetStream

MB = 1 << 20


@pytest.mark.parametrize("group_rows", [2, 20])
def test_stream_of_row_groups_of_any_size_reads_little_at_once(group_rows: int) -> None:
    """Small row groups are read column by column, and a large one of 20 MB in parts."""
    random = np.random.default_rng(0)
    images = [random.bytes(MB) for _ in range(20)]
    sink = io.BytesIO()
    table = pa.table({"image": images, "other": [image[:4] for image in images]})
    pages = {"use_dictionary": False, "write_batch_size": 1}
    pq.write_table(table, sink, row_group_size=group_rows, **pages)
    content, reads = sink.getvalue(), list[int]()

    def read(offset: int, size_bytes: int) -> bytes:
        reads.append(size_bytes)
        return content[offset : offset + size_bytes]

    batches = list(ParquetStream(read, len(content)).batches(["image"]))
    assert [value for batch in batches for value in batch["image"].to_pylist()] == images
    assert max(reads) < 4 * MB
    assert sum(reads) < 2 * len(content)
