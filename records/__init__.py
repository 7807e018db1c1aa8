"""What lies on disk, and only that: TFRecord shards, their index, their manifest.

    import records

    dataset = records.open_dataset("data")
    findings = list(records.verify("data"))

Neither Beam nor TensorFlow is imported here. The names below are loaded when they are first used,
so that a command line that only needs an error class pays for nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from records.dataset import Dataset, Record, Split, open_dataset
    from records.errors import ShardmillError
    from records.verification.dataset import verify

_HOMES = {
    "Dataset": "records.dataset.dataset",
    "Record": "records.dataset.dataset",
    "Split": "records.dataset.dataset",
    "ShardmillError": "records.errors",
    "open_dataset": "records.dataset.dataset",
    "verify": "records.verification.dataset",
}

__all__ = ["Dataset", "Record", "ShardmillError", "Split", "open_dataset", "verify"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
