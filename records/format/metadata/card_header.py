"""YAML header of a dataset card, for the Hugging Face Hub."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
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
_ESCAPES = {'"': r"\"", "\\": r"\\"}
_SPDX_VARIANT = re.compile("-(?:only|or-later)$")
_LICENCES = {
    "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd-2-clause", "bsd-3-clause",
    "bsd-3-clause-clear", "bsl-1.0", "c-uda", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0",
    "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0",
    "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0",
    "cdla-sharing-1.0", "ecl-2.0", "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "eupl-1.2",
    "gfdl", "gpl-2.0", "gpl-3.0", "isc", "lgpl-2.1", "lgpl-3.0", "lppl-1.3c", "mit", "mpl-2.0",
    "ms-pl", "ncsa", "odbl", "odc-by", "ofl-1.1", "osl-3.0", "pddl", "postgresql", "unlicense",
    "wtfpl", "zlib",
}  # fmt: skip
"""The identifiers that the Hub accepts; it refuses a card with any other one."""


def make_header(
    manifest: Manifest,
    *,
    config: str = "index",
    name_of: Callable[[str], str] = index_name,
    tags: Sequence[str] = ("tfrecord",),
) -> str:
    """Return the header: licence, size, task, and the tables of the splits.

    The Hub does not read TFRecord files, so its table viewer shows the rows of the indexes.

    Args:
        manifest: the manifest.
        config: the name of the tables.
        name_of: a function that returns the name of the table of a shard.
        tags: the tags after those of the user.
    """
    given = manifest.description or Description()
    records = sum(info.records for info in manifest.splits.values())
    size = next((name for limit, name in _SIZES if records < limit), _LARGEST)
    lines = [
        *_license(given.license),
        *_list("language", given.languages),
        *_scalar("pretty_name", given.name),
        *_list("tags", [*given.keywords, *tags]),
        *_list("task_categories", ["image-classification"]),
        *_list("size_categories", [size]),
        *_configs(manifest, config, name_of),
    ]
    return "\n".join(["---", *lines, "---"])


def _license(license_: str | None) -> Iterator[str]:
    """Yield the licence: an identifier of the Hub, or `other` and its name or link.

    The Hub has some identifiers of SPDX without the version, or without `-only` and `-or-later`.
    """
    if license_ is None:
        return
    name = _SPDX_VARIANT.sub("", license_.lower())
    known = next((each for each in (name, name.removesuffix("-1.0")) if each in _LICENCES), None)
    yield from _scalar("license", known or "other")
    if known is None:
        is_url = license_.startswith(("https://", "http://"))
        yield from _scalar("license_link" if is_url else "license_name", license_)


def _configs(manifest: Manifest, config: str, name_of: Callable[[str], str]) -> Iterator[str]:
    names = [name for name in SPLITS if name in manifest.splits]
    if not names:
        return
    yield "configs:"
    yield f"- config_name: {config}"
    yield "  data_files:"
    for name in names:
        yield f"  - split: {name}"
        yield "    path:"
        shards = manifest.splits[name].shards
        for pattern in glob_patterns(name_of(shard.name) for shard in shards):
            yield f"    - {_quote(pattern)}"


def _scalar(name: str, value: str | None) -> Iterator[str]:
    if value is not None:
        yield f"{name}: {_quote(value)}"


def _list(name: str, values: Sequence[str]) -> Iterator[str]:
    if values:
        yield f"{name}:"
        yield from (f"- {_quote(value)}" for value in values)


def _quote(text: str) -> str:
    """Return a text as a YAML string in double quotes; unlike JSON, YAML has no surrogate pairs."""
    return f'"{"".join(map(_escape, text))}"'


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    return char if char.isprintable() else f"\\U{ord(char):08x}"
