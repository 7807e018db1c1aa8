"""What `stats --near` adds to what `stats` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.text.escaping import escape_for_display
from records.text.formatting import align, pluralize

if TYPE_CHECKING:
    from records.dedup.groups import NearDuplicates, NearImage, NearPair

_SHOWN_PAIRS = 20


def format_near(near: NearDuplicates, labels: tuple[str, ...]) -> list[str]:
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
        return f"none, of {pluralize(near.compared, 'image')} compared"
    images = pluralize(len(near.keys), "image")
    return f"{images} in {pluralize(near.groups, 'group')} (--keys near lists what to leave out)"


def _leaks(near: NearDuplicates) -> str:
    if not near.leak_keys:
        return "none"
    images = pluralize(len(near.leak_keys), "image")
    return f"{images} like one of another split (--keys near-leaks lists what to leave out)"


def _conflicts(near: NearDuplicates) -> str:
    if not near.conflict_groups:
        return "none"
    return f"{pluralize(near.conflict_groups, 'group')} with more than one label"


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
    return image.split, escape_for_display(labels[image.label]), escape_for_display(image.key)
