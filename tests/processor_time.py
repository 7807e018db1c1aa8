"""Processor time of a call, to recognize quadratic work."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from records.errors import ShardmillError

if TYPE_CHECKING:
    from collections.abc import Callable


def processor_seconds(call: Callable[[], object]) -> float:
    """Return the processor time of a call in seconds, also of one that raises ShardmillError."""
    started_at = time.process_time()
    with suppress(ShardmillError):
        call()
    return time.process_time() - started_at
