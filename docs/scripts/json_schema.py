"""Generator of the published JSON Schemas: `python docs/scripts/json_schema.py [--check]`."""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

import msgspec

from pipelines.report import Report
from records.format.edits import RelabelledRecord, RemovedRecord
from records.format.index import Reject, ShardSummary
from records.format.manifest import ManifestFile
from records.format.skipped import SkippedFile
from records.generations import Provenance

_DOCS = Path(__file__).parents[1]
FOLDER = _DOCS / "reference" / "schemas"
KINDS = {
    "dataset": ManifestFile,
    "index-summary": ShardSummary,
    "provenance": Provenance,
    "reject": Reject,
    "relabelled": RelabelledRecord,
    "removed": RemovedRecord,
    "report": Report,
    "skipped": SkippedFile,
}
"""The types of the JSON that is published, by the name of the schema."""


def make_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of one kind of JSON."""
    site = re.search(r"^site_url: (\S+)$", (_DOCS.parent / "mkdocs.yml").read_text(), re.MULTILINE)
    if site is None:
        raise LookupError("mkdocs.yml has no site_url")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{site[1]}reference/schemas/{name}.schema.json",
        **_tidy(msgspec.json.schema(KINDS[name])),
    }


def _tidy(schema: Any) -> Any:
    """Return a schema without the indentation of docstrings."""
    if isinstance(schema, list):
        return [_tidy(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {key: _tidy(value) for key, value in schema.items()}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = inspect.cleandoc(tidy["description"])
    return tidy


def main() -> None:
    """Write all schemas; with `--check`, exit with an error if one is outdated."""
    FOLDER.mkdir(exist_ok=True)
    for name in KINDS:
        file = FOLDER / f"{name}.schema.json"
        text = json.dumps(make_schema(name), indent=2, ensure_ascii=False) + "\n"
        if "--check" not in sys.argv:
            file.write_text(text, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != text:
            sys.exit(f"docs/reference/schemas/{file.name} is outdated; run `make pages`")


if __name__ == "__main__":
    main()
