"""Batches of images, bounded by number and bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_Item = TypeVar("_Item")


def batch_by_bytes(
    items: Iterable[_Item],
    size_bytes: Callable[[_Item], int],
    *,
    most_items: int,
    end_bytes: int,
) -> Iterator[list[_Item]]:
    """Yield the items in lists; a list ends after `most_items`, or with `end_bytes` or more.

    Args:
        items: the items, in order.
        size_bytes: returns the size of an item.
        most_items: the maximum number of items in a list.
        end_bytes: the size from which a list gets no further item.
    """
    batch: list[_Item] = []
    batch_bytes = 0
    for item in items:
        batch.append(item)
        batch_bytes += size_bytes(item)
        if len(batch) == most_items or batch_bytes >= end_bytes:
            yield batch
            batch, batch_bytes = [], 0
    if batch:
        yield batch
