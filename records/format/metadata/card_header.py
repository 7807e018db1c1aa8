"""YAML header of a dataset card, for the Hugging Face Hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from records.format.layout import SPLITS, index_name
from records.format.metadata.description import Description
from records.format.metadata.name_patterns import glob_patterns

if TYPE_CHECKING:
    from records.format.manifest import Manifest

_SIZES = (
    (1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B"),
)  # fmt: skip
_LARGEST = "n>1B"
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")


def make_header(manifest: Manifest) -> str:
    """Return the header: licence, size, task, and the indexes as the tables of the splits.

    The Hub does not read TFRecord files, so its table viewer shows the rows of the indexes.
    """
    given = manifest.description or Description()
    records = sum(info.records for info in manifest.splits.values())
    size = next((name for limit, name in _SIZES if records < limit), _LARGEST)
    lines = [
        *_license(given.license),
        *_list("language", given.languages),
        *_scalar("pretty_name", given.name),
        *_list("tags", [*given.keywords, "tfrecord"]),
        *_list("task_categories", ["image-classification"]),
        *_list("size_categories", [size]),
        *_configs(manifest),
    ]
    return "\n".join(["---", *lines, "---"])


def _license(license_: str | None) -> Iterator[str]:
    """Yield the licence: an identifier in lower case, or `other` and its name or link."""
    if license_ is None:
        return
    if _IDENTIFIER.fullmatch(license_):
        yield from _scalar("license", license_.lower())
        return
    yield from _scalar("license", "other")
    is_url = license_.startswith(("https://", "http://"))
    yield from _scalar("license_link" if is_url else "license_name", license_)


def _configs(manifest: Manifest) -> Iterator[str]:
    names = [name for name in SPLITS if name in manifest.splits]
    if not names:
        return
    yield "configs:"
    yield "- config_name: index"
    yield "  data_files:"
    for name in names:
        yield f"  - split: {name}"
        yield "    path:"
        shards = manifest.splits[name].shards
        for pattern in glob_patterns(index_name(shard.name) for shard in shards):
            yield f"    - {_quote(pattern)}"


def _scalar(name: str, value: str | None) -> Iterator[str]:
    if value is not None:
        yield f"{name}: {_quote(value)}"


def _list(name: str, values: Sequence[str]) -> Iterator[str]:
    if values:
        yield f"{name}:"
        yield from (f"- {_quote(value)}" for value in values)


def _quote(text: str) -> str:
    """Return a text as a string in double quotes: JSON is YAML too."""
    return json.dumps(text)
