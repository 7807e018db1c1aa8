"""Dataset card: `README.md`, with the YAML header of the Hugging Face Hub.

The card follows from the manifest, and from the presence of a contact sheet. Its last line has a
digest of the others. A card without it, or with another digest, belongs to the user.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from records.format.layout import SPLITS
from records.format.metadata.card_header import make_header
from records.format.metadata.description import WEB_URL, Description
from records.text.escaping import escape_for_display
from records.text.formatting import format_bytes, pluralize

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


def make_card(manifest: Manifest, *, has_grid: bool = False) -> bytes:
    """Return the card of a dataset; `has_grid` is whether it has a contact sheet, see `GRID`."""
    given = manifest.description or Description()
    parts = [
        make_header(manifest),
        f"# {_inline(given.name or 'Dataset')}",
        given.description or "",
        f"![Images of the dataset]({GRID})" if has_grid else "",
        _contents(manifest),
        _reading(manifest),
        _limits(manifest, given),
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


def _contents(manifest: Manifest) -> str:
    splits = [name for name in SPLITS if name in manifest.splits]
    infos = [manifest.splits[name] for name in splits]
    images = sum(info.records for info in infos)
    shards = pluralize(sum(len(info.shards) for info in infos), "shard")
    size = format_bytes(sum(info.bytes for info in infos))
    classes = pluralize(len(manifest.labels), "class")
    lines = [
        "## Contents",
        "",
        f"{pluralize(images, 'image')} in {classes}, in {shards} ({size}).",
        f"This is generation {manifest.generations[-1].number} of the dataset.",
        "",
        *_table(
            ["split", "images", "shards", "size"],
            [
                [name, f"{info.records:,}", f"{len(info.shards):,}", format_bytes(info.bytes)]
                for name, info in zip(splits, infos, strict=True)
            ],
        ),
        "",
        *_table(
            ["class", *splits],
            [
                [_inline(label), *(f"{info.class_records[number]:,}" for info in infos)]
                for number, label in enumerate(manifest.labels[:_MAX_SHOWN_CLASSES])
            ],
        ),
    ]
    if len(manifest.labels) > _MAX_SHOWN_CLASSES:
        lines += [
            "",
            f"`labels.txt` and `croissant.json` have all {classes}.",
        ]
    if manifest.settings.is_multi_label:
        lines += ["", "An image can have any number of classes."]
    return "\n".join(lines)


def _reading(manifest: Manifest) -> str:
    options = manifest.settings.images
    width, height = options.resize or (0, 0)
    size = f" of {width} × {pluralize(height, 'pixel')}" if options.resize else ""
    stored = f"The images are stored as {_STORED[options.store]}{size}."
    if manifest.adopted is not None:
        stored = "Another program wrote the records."
    columns = ", ".join(_code(column.name) for column in manifest.settings.columns)
    return "\n".join(
        [
            "## Read the dataset",
            "",
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
    )


def _limits(manifest: Manifest, given: Description) -> str:
    newest = manifest.generations[-1].counts
    rejected = sum(each.counts.rejected for each in manifest.generations)
    removed = sum(each.removed for each in manifest.generations)
    counts = [sum(column) for column in _class_columns(manifest)]
    known = [
        (rejected, f"Rejected: {pluralize(rejected, 'file')}, listed in `rejects.jsonl`."),
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
        fence = _backticks(given.citation, least=3)
        lines += ["", f"{fence}bibtex", given.citation.strip("\n"), fence]
    return "\n".join(["## Licence and citation", "", *lines]) if lines else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]


def _inline(text: str) -> str:
    """Return text in which no character is Markdown or HTML."""
    return re.sub(r"([\\`*_{}\[\]<>|#&])", r"\\\1", escape_for_display(text))


def _link(text: str) -> str:
    """Return a URL as a link, and any other text as `_inline`."""
    return f"<{escape_for_display(text)}>" if WEB_URL.fullmatch(text) else _inline(text)


def _code(text: str) -> str:
    """Return text as code, in which no character has another meaning."""
    shown = escape_for_display(text)
    ticks = _backticks(shown, least=1)
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{ticks}{space}{shown}{space}{ticks}"


def _backticks(text: str, *, least: int) -> str:
    """Return more backticks than any sequence of them in a text has."""
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))
