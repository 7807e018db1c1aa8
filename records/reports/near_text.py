"""What `stats --near` adds to what `stats` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.reports.tables import align, count
from records.text import printable

if TYPE_CHECKING:
    from records.reports.near_duplicates import NearDuplicates, NearImage, NearPair

_SHOWN_PAIRS = 20


def show_near(near: NearDuplicates, labels: tuple[str, ...]) -> list[str]:
    """How many images are the same picture as another, and the first pairs of them."""
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
        return f"none, of {count(near.compared, 'image')} compared"
    images = count(len(near.keys), "image")
    return f"{images} in {count(near.groups, 'group')} (--keys near lists what to leave out)"


def _leaks(near: NearDuplicates) -> str:
    if not near.leak_keys:
        return "none"
    images = count(len(near.leak_keys), "image")
    return f"{images} like one of another split (--keys near-leaks lists what to leave out)"


def _conflicts(near: NearDuplicates) -> str:
    if not near.conflict_groups:
        return "none"
    return f"{count(near.conflict_groups, 'group')} with more than one label"


def _not_compared(near: NearDuplicates) -> str:
    reasons = [
        (near.flat, "of all but one colour"),
        (near.undecodable, "that do not decode"),
    ]
    return ", ".join(f"{number:,} {why}" for number, why in reasons if number) or "none"


def _pairs(pairs: tuple[NearPair, ...], labels: tuple[str, ...]) -> list[str]:
    rows = [("bits", "keep", "", "", "leave out", "", "")]
    for pair in pairs[:_SHOWN_PAIRS]:
        kept, other = _image(pair.kept, labels), _image(pair.other, labels)
        rows.append((str(pair.bits_apart), *kept, *other))
    lines = align(rows, right=">")
    if len(pairs) > _SHOWN_PAIRS:
        lines.append(f"… {len(pairs) - _SHOWN_PAIRS:,} more; --json has them all")
    return lines


def _image(image: NearImage, labels: tuple[str, ...]) -> tuple[str, str, str]:
    return image.split, printable(labels[image.label]), printable(image.key)
