"""PyTorch loader of the peers: two processes, which run for all epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from epochs import BATCH_SIZE, WORKERS, time_epochs
from torch.utils.data import DataLoader, default_collate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch.utils.data import Dataset


def time_loader(
    dataset: Dataset, collate: Callable[[Sequence[Any]], Any], epochs: str, **options: Any
) -> None:
    """Read epochs of batches (images, labels), and report the time of the last epoch."""
    loader = DataLoader(
        dataset,
        BATCH_SIZE,
        num_workers=WORKERS,
        persistent_workers=True,
        collate_fn=collate,
        **options,
    )
    time_epochs(int(epochs), lambda: (len(labels) for _, labels in loader))


def collate_of(mode: str) -> Callable[[Sequence[tuple[Any, int]]], Any]:
    """Return the function that makes a batch: that of PyTorch, or lists for the mode `bytes`."""
    return _unzip if mode == "bytes" else default_collate


def _unzip(elements: Sequence[tuple[bytes, int]]) -> tuple[list[bytes], list[int]]:
    return [image for image, _ in elements], [label for _, label in elements]
