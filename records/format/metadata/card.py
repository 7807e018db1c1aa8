"""Dataset card: `README.md`, with the YAML header of the Hugging Face Hub.

The card follows from the manifest, and from the presence of a contact sheet. Its last line has a
digest of the others. A card without it, or with another digest, belongs to the user.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from records.format.layout import SPLITS
from records.format.metadata.card_header import make_header
from records.format.metadata.description import WEB_URL, Description
from records.text.escaping import escape_for_display
from records.text.formatting import format_bytes, pluralize
from records.text.markdown import code, fenced, inline, table

if TYPE_CHECKING:
    from records.format.manifest import Manifest

GRID = "grid.png"
"""The contact sheet of `inspect --grid` that the card shows if it exists."""
_MAX_SHOWN_CLASSES = 200
_FORMAT = "https://shardmill.github.io/shardmill/reference/on-disk-format/"
_MARK = re.compile(rb"<!-- Made by shardmill; SHA-256 of the text above: ([0-9a-f]{64}) -->\n")
_STORED = {
    "source": "JPEG or PNG", "jpeg": "JPEG", "png": "PNG", "raw": "uncompressed pixels",
    "mixed": "JPEG, PNG or uncompressed pixels",
}  # fmt: skip


class FilesOfFormat(NamedTuple):
    """The parts of the card of files of another format, without the files of a dataset.

    Attributes:
        header: the YAML header.
        reading: the lines about reading the files.
    """

    header: str
    reading: Sequence[str]


def make_card(
    manifest: Manifest, *, has_grid: bool = False, files: FilesOfFormat | None = None
) -> bytes:
    """Return the card of a dataset.

    Args:
        manifest: the manifest.
        has_grid: whether the dataset has a contact sheet, see `GRID`.
        files: the parts that differ if the files have another format.
    """
    given = manifest.description or Description()
    parts = [
        make_header(manifest) if files is None else files.header,
        f"# {inline(given.name or 'Dataset')}",
        given.description or "",
        f"![Images of the dataset]({GRID})" if has_grid else "",
        _contents(manifest, is_dataset=files is None),
        _section("Read the dataset", _reading(manifest) if files is None else files.reading),
        _limits(manifest, given, is_dataset=files is None),
        _publication(given),
    ]
    text = "\n\n".join(part.strip("\n") for part in parts if part) + "\n\n"
    content = text.encode("utf-8", "backslashreplace")
    digest = hashlib.sha256(content).hexdigest()
    return content + f"<!-- Made by shardmill; SHA-256 of the text above: {digest} -->\n".encode()


def is_generated(content: bytes) -> bool:
    """Return whether a card is as `make_card` wrote it, in this or another version."""
    text, _, last = content.removesuffix(b"\n").rpartition(b"\n")
    mark = _MARK.fullmatch(last + b"\n")
    return mark is not None and hashlib.sha256(text + b"\n").hexdigest().encode() == mark[1]


def _contents(manifest: Manifest, *, is_dataset: bool) -> str:
    infos = manifest.splits.values()
    images = sum(info.records for info in infos)
    shards = pluralize(sum(len(info.shards) for info in infos), "shard")
    size = format_bytes(sum(info.bytes for info in infos))
    classes = pluralize(len(manifest.labels), "class")
    return "\n".join(
        [
            "## Contents",
            "",
            f"{pluralize(images, 'image')} in {classes}, in {shards} ({size}).",
            f"This is generation {manifest.generations[-1].number} of the dataset.",
            "",
            *count_tables(
                manifest,
                "`labels.txt` and `croissant.json` have" if is_dataset else "`labels.txt` has",
            ),
        ]
    )


def count_tables(manifest: Manifest, full_list: str) -> list[str]:
    """Return the lines of the tables of splits and of classes.

    Args:
        manifest: the manifest of the dataset.
        full_list: the subject and the verb of a sentence that names the list of all classes, if
            the table has only some of them.
    """
    splits = [name for name in SPLITS if name in manifest.splits]
    infos = [manifest.splits[name] for name in splits]
    lines = [
        *table(
            ["split", "images", "shards", "size"],
            [
                [name, f"{info.records:,}", f"{len(info.shards):,}", format_bytes(info.bytes)]
                for name, info in zip(splits, infos, strict=True)
            ],
        ),
        "",
        *table(
            ["class", *splits],
            [
                [inline(label), *(f"{info.class_records[number]:,}" for info in infos)]
                for number, label in enumerate(manifest.labels[:_MAX_SHOWN_CLASSES])
            ],
        ),
    ]
    if len(manifest.labels) > _MAX_SHOWN_CLASSES:
        lines += ["", f"{full_list} all {pluralize(len(manifest.labels), 'class')}."]
    if manifest.settings.is_multi_label:
        lines += ["", "An image can have any number of classes."]
    return lines


def _section(heading: str, lines: Sequence[str]) -> str:
    return "\n".join([f"## {heading}", "", *lines])


def _reading(manifest: Manifest) -> list[str]:
    options = manifest.settings.images
    width, height = options.resize or (0, 0)
    size = f" of {width} × {pluralize(height, 'pixel')}" if options.resize else ""
    stored = f"The images are stored as {_STORED[options.store]}{size}."
    if manifest.adopted is not None:
        stored = "Another program wrote the records."
    columns = ", ".join(code(column.name) for column in manifest.settings.columns)
    return [
        f"The records are `tf.train.Example` messages in TFRecord files ([format]({_FORMAT})).",
        stored,
        *([f"Each record also has the columns {columns}."] if columns else []),
        "",
        "```python",
        "import shardmill as sm",
        "",
        'dataset = sm.open_dataset("PATH")',
        "for split, records in dataset.items():",
        "    print(split, len(records))",
        "```",
    ]


def _limits(manifest: Manifest, given: Description, *, is_dataset: bool) -> str:
    newest = manifest.generations[-1].counts
    rejected = sum(each.counts.rejected for each in manifest.generations)
    removed = sum(each.removed for each in manifest.generations)
    counts = [sum(column) for column in _class_columns(manifest)]
    listed = ", listed in `rejects.jsonl`" if is_dataset else ""
    known = [
        (rejected, f"Rejected: {pluralize(rejected, 'file')}{listed}."),
        (newest.skipped, f"Not images: {pluralize(newest.skipped, 'file')} of the source."),
        (newest.excluded, f"Left out: {pluralize(newest.excluded, 'image')} of the source."),
        (removed, f"Removed later: {pluralize(removed, 'image')}."),
        (max(counts, default=0), f"Images per class: {_range(counts)}."),
    ]
    lines = [f"- {text}" for number, text in known if number]
    if manifest.settings.group_by is not None:
        lines.append("- Images of one group are in the same split.")
    text = "\n".join(lines)
    return "\n\n".join(["## Limits", *filter(None, [given.limitations, text])])


def _range(counts: Sequence[int]) -> str:
    least, most = min(counts, default=0), max(counts, default=0)
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"


def _class_columns(manifest: Manifest) -> Iterator[tuple[int, ...]]:
    """Yield the numbers of images of each class in all splits."""
    yield from zip(*(info.class_records for info in manifest.splits.values()), strict=True)


def _publication(given: Description) -> str:
    facts = [
        ("Licence", given.license),
        ("Creators", ", ".join(given.creators)),
        ("Publisher", given.publisher),
        ("Page", given.url),
        ("Published", given.published and given.published.isoformat()),
    ]
    lines = [f"- {name}: {_link(str(value))}" for name, value in facts if value]
    if given.citation:
        lines += ["", *fenced(given.citation, "bibtex")]
    return "\n".join(["## Licence and citation", "", *lines]) if lines else ""


def _link(text: str) -> str:
    """Return a URL as a link, and any other text as `inline`."""
    return f"<{escape_for_display(text)}>" if WEB_URL.fullmatch(text) else inline(text)
