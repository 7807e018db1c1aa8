"""Every page of docs/ that a file of the repository mentions exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUFFIXES = {".cff", ".md", ".py", ".service", ".sh", ".timer", ".toml", ".txt", ".yaml", ".yml"}
MENTION = re.compile(r"(?<!tests/)\bdocs/[\w/.-]+\.(?:md|py)\b")


def test_mentioned_pages_exist() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = [ROOT / line for line in listed.stdout.splitlines() if Path(line).suffix in SUFFIXES]
    mentions = {
        (str(file.relative_to(ROOT)), found)
        for file in files
        for found in MENTION.findall(file.read_text(encoding="utf-8"))
    }
    missing = {(file, page) for file, page in mentions if not (ROOT / page).exists()}
    assert len(mentions) > 50
    assert not {(file, page) for file, page in missing if "NAME" not in page}
