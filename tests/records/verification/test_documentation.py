"""`docs/how-to/verification.md` explains every kind of finding, in the words of the code."""

from __future__ import annotations

import re
from pathlib import Path

from records.integrity.findings import MEANINGS

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "verification.md"


def test_inspecting_page_lists_every_finding_kind_with_its_meaning() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    assert rows == list(MEANINGS.items())
