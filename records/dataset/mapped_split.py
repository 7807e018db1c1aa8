"""Split whose records pass through a function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar, overload

if TYPE_CHECKING:
    from records.dataset.record import Record
    from records.dataset.split import Split

T = TypeVar("T")


class MappedSplit(Sequence[T]):
    """The results of a function for the records of a split; `Split.map` returns it.

    It is a map-style dataset for a PyTorch `DataLoader`, and a data source for Grain. Nothing is
    kept: each access reads the record, and calls the function.

    Args:
        split: the split.
        function: the function of a record. To send it to worker processes that are started with
            `spawn`, it must be picklable.
    """

    def __init__(self, split: Split, function: Callable[[Record], T]) -> None:
        self._split = split
        self._function = function

    def __len__(self) -> int:
        return len(self._split)

    @overload
    def __getitem__(self, number: int) -> T: ...
    @overload
    def __getitem__(self, number: slice) -> list[T]: ...
    def __getitem__(self, number: int | slice) -> T | list[T]:
        """Return the result for a record, or for several; see `Split.__getitem__`."""
        if isinstance(number, slice):
            return self.__getitems__(range(*number.indices(len(self))))
        return self._function(self._split[number])

    def __getitems__(self, numbers: Sequence[int]) -> list[T]:
        """Return the results for the records with these numbers; see `Split.__getitems__`."""
        return list(map(self._function, self._split.__getitems__(numbers)))

    _getitems = __getitems__  # the name in Grain

    def __iter__(self) -> Iterator[T]:
        """Yield the results for all records, in one streaming read per shard."""
        return map(self._function, self._split)

    def __repr__(self) -> str:
        # Grain compares the texts of a checkpoint and of its source: they contain no address.
        name = getattr(self._function, "__qualname__", type(self._function).__qualname__)
        return f"MappedSplit({self._split!r}, {name})"
