"""Programs in the pages of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

_DOCS = Path(__file__).parents[2] / "docs"


def find_program(page: str, heading: str) -> str:
    """Return the first Python program below a heading of a page, such as `how-to/training.md`."""
    text = (_DOCS / page).read_text(encoding="utf-8")
    found = re.search(
        rf"^#+ {re.escape(heading)}.*?^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL
    )
    assert found is not None, f"{page}: no program below {heading}"
    return found[1]
