from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from records.dataset.batches import batch_by_bytes


@given(
    items=st.lists(st.binary(max_size=9), max_size=50),
    most_items=st.integers(1, 7),
    end_bytes=st.integers(1, 20),
)
def test_batches_hold_all_items_in_order_and_end_at_the_first_limit(
    items: list[bytes], most_items: int, end_bytes: int
) -> None:
    batches = list(batch_by_bytes(items, len, most_items=most_items, end_bytes=end_bytes))
    assert [item for batch in batches for item in batch] == items
    for batch in batches:
        assert 1 <= len(batch) <= most_items
        assert sum(map(len, batch[:-1])) < end_bytes
    for batch in batches[:-1]:
        assert len(batch) == most_items or sum(map(len, batch)) >= end_bytes
