"""Tables of measurements in pages of `docs/`, between markers.

Each table has these markers:

<!-- table: NAME -->
…
<!-- end of table -->
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from benchmarks.harness.samples import Result, read_result
from benchmarks.page import accuracy, reading, tables
from benchmarks.page.exports import export_latency_table
from benchmarks.page.processes import processes_table
from benchmarks.page.targets import targets_table
from benchmarks.registry import ACCURACY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_TABLE = re.compile(
    r"(?P<begin><!-- table: (?P<name>[\w-]+) -->\n).*?(?P<end><!-- end of table -->)", re.DOTALL
)
_TABLES: dict[str, Callable[[Result], str]] = {
    "conversion": tables.conversion_table,
    "reading": reading.reading_table,
    "jpeg-decoders": reading.jpeg_decoders_table,
    "remote-reading": reading.remote_reading_table,
    "raw-shares": reading.raw_shares_table,
    "accelerators": reading.accelerators_table,
    "access": tables.access_table,
    "planning": tables.planning_table,
    "engines": tables.engines_table,
    "large-plan": tables.planning_table,
    "linear": tables.linear_table,
    "large-collection": tables.large_collection_table,
    "large-photos": tables.large_photos_table,
    "prediction": tables.prediction_table,
    "serving": tables.serving_table,
    "export-latency": export_latency_table,
    "near-duplicates": tables.near_duplicates_table,
    "processes": processes_table,
    "label-errors": accuracy.label_errors_table,
    "label-loop": accuracy.label_loop_table,
    "pointing-game": accuracy.pointing_game_table,
    "imbalance": accuracy.imbalance_table,
    "rejection": accuracy.rejection_table,
}
_NOT_MEASURED = "Not measured yet."


def read_results(folder: Path) -> dict[str, Result]:
    """Return all results in a folder, by the name of the benchmark."""
    results = map(read_result, sorted(folder.glob("*.json")))
    return {result.benchmark: result for result in results}


def make_tables(results: Mapping[str, Result]) -> dict[str, str]:
    """Return every table for which results exist, by name."""
    made = {name: make(results[name]) for name, make in _TABLES.items() if name in results}
    if results:
        made["targets"] = targets_table(results)
        timed = [result for name, result in results.items() if name not in ACCURACY]
        made["environment"] = tables.environment_table(timed)
    return made


def fill(page: str, made: Mapping[str, str]) -> str:
    """Return the page with the tables between their markers replaced."""

    def put(found: re.Match[str]) -> str:
        table = made.get(found["name"], _NOT_MEASURED)
        return f"{found['begin']}\n{table}\n\n{found['end']}"

    return _TABLE.sub(put, page)
