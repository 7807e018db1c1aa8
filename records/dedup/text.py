"""Text form of near-duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.text.escaping import escape_for_display
from records.text.formatting import align, pluralize

if TYPE_CHECKING:
    from records.dedup.groups import NearDuplicates, NearImage, NearPair

_SHOWN_PAIRS = 20


def format_near(near: NearDuplicates, labels: tuple[str, ...] | None = None) -> list[str]:
    """Return the counts of near-duplicates, and the first pairs, one string per line.

    Without `labels`, the lines contain label numbers instead of class names.
    """
    facts = [
        ("near", _images(near)),
        ("near leaks", _leaks(near)),
        ("conflicts", _conflicts(near)),
        ("not compared", _not_compared(near)),
    ]
    return ["", "The same picture, resized, re-encoded or slightly cropped:", *align(facts)] + (
        ["", *_pairs(near.pairs, labels)] if near.pairs else []
    )


def _images(near: NearDuplicates) -> str:
    if not near.keys:
        return f"none, of {pluralize(near.compared, 'image')} compared"
    images = pluralize(len(near.keys), "image")
    return f"{images} in {pluralize(near.groups, 'group')} (--keys near lists the keys to exclude)"


def _leaks(near: NearDuplicates) -> str:
    if not near.leak_keys:
        return "none"
    images = pluralize(len(near.leak_keys), "image")
    where = "in test or validation"  # the split of an image to keep
    return f"{images} near an image {where} (--keys near-leaks lists the keys to exclude)"


def _conflicts(near: NearDuplicates) -> str:
    if not near.conflict_groups:
        return "none"
    return f"{pluralize(near.conflict_groups, 'group')} with more than one label"


def _not_compared(near: NearDuplicates) -> str:
    reasons = [
        (near.featureless, "of almost one colour"),
        (near.undecodable, "that cannot be decoded"),
    ]
    return ", ".join(f"{number:,} {why}" for number, why in reasons if number) or "none"


def _pairs(pairs: tuple[NearPair, ...], labels: tuple[str, ...] | None) -> list[str]:
    rows = [("bits", "keep", "", "", "exclude", "", "")]
    for pair in pairs[:_SHOWN_PAIRS]:
        kept, other = _image(pair.kept, labels), _image(pair.other, labels)
        rows.append((str(pair.hamming_distance), *kept, *other))
    lines = align(rows, right=">")
    if len(pairs) > _SHOWN_PAIRS:
        lines.append(f"… {len(pairs) - _SHOWN_PAIRS:,} more; --json lists all")
    return lines


def _image(image: NearImage, labels: tuple[str, ...] | None) -> tuple[str, str, str]:
    names = (str(label) if labels is None else labels[label] for label in image.labels)
    return image.split, escape_for_display(", ".join(names)), escape_for_display(image.key)
