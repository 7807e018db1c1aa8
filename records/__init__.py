"""Labelled images on disk: datasets, records and verification.

    import records

    dataset = records.open_dataset("data")
    findings = list(records.verify("data"))

This package does not import Beam or TensorFlow. It imports each name below on first use, so that a
command that needs only an error class starts fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from records.dataset import Dataset, EpochBatches, MappedSplit, Record, Split, open_dataset
    from records.errors import ShardmillError
    from records.verification import verify

_MODULES = {
    "Dataset": "records.dataset",
    "EpochBatches": "records.dataset",
    "MappedSplit": "records.dataset",
    "Record": "records.dataset",
    "ShardmillError": "records.errors",
    "Split": "records.dataset",
    "open_dataset": "records.dataset",
    "verify": "records.verification",
}

__all__ = [
    "Dataset",
    "EpochBatches",
    "MappedSplit",
    "Record",
    "ShardmillError",
    "Split",
    "open_dataset",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
