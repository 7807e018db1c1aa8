"""Tables of `docs/explanation/performance.md`, put between their markers, and its plot.

<!-- table: NAME -->
…
<!-- end of table -->
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from benchmarks.harness.samples import Result, read_result
from benchmarks.page.processes import processes_table
from benchmarks.page.tables import TABLES, environment_table
from benchmarks.page.targets import targets_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TABLE = re.compile(
    r"(?P<begin><!-- table: (?P<name>[\w-]+) -->\n).*?(?P<end><!-- end of table -->)", re.DOTALL
)
_NOT_MEASURED = "Not measured yet."


def read_results(folder: Path) -> dict[str, Result]:
    """Return all results stored in a folder, by the names of their benchmarks."""
    results = map(read_result, sorted(folder.glob("*.json")))
    return {result.benchmark: result for result in results}


def make_tables(results: Mapping[str, Result]) -> dict[str, str]:
    """Return every table that results exist for, by name."""
    makers = {**TABLES, "processes": processes_table}
    tables = {name: make(results[name]) for name, make in makers.items() if name in results}
    if results:
        tables["targets"] = targets_table(results)
        tables["environment"] = environment_table(list(results.values()))
    return tables


def fill(page: str, tables: Mapping[str, str]) -> str:
    """Return the page with these tables between their markers."""

    def put(found: re.Match[str]) -> str:
        table = tables.get(found["name"], _NOT_MEASURED)
        return f"{found['begin']}\n{table}\n\n{found['end']}"

    return _TABLE.sub(put, page)
