"""The members of all containers, listed as files of one folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipelines.sources.containers.byte_window import ContainerBytes
from pipelines.sources.containers.kinds import kind_of, stem_of
from pipelines.sources.containers.labels import label_images
from pipelines.sources.containers.moves import keep_last, move_keys
from pipelines.sources.containers.part import Given, Part
from pipelines.sources.walk import Listing
from records.format.layout import parse_split


@dataclass
class MemberListing:
    """The members of containers.

    Attributes:
        listing: the members as files of one folder.
        given: the label, the split and the fields that the containers give each file; None if they
            give no label.
        archives: the number of archives in the containers; they are not read.
        heads: the first bytes of some members of unpacked containers, by the encoded member.
        notes: remarks on the containers, for the report.
        single_classes: the keys of the containers that are one class each, although another one has
            several.
    """

    listing: Listing
    given: list[Given] | None
    archives: int
    heads: dict[bytes, bytes]
    notes: list[str]
    single_classes: list[bytes] = field(default_factory=list)


def list_members(containers: Sequence[ContainerBytes], *, for_list: bool) -> MemberListing:
    """List the members of containers.

    The keys are those of an extraction of all archives into one folder, with these exceptions:

    - If an image of an archive is in no folder, all members of the archive are in a folder named
      after it. This applies to several containers, and to archives inside a container.
    - If there are several containers, and all are named after splits, each is a split folder.
    - A top folder that contains all images is not a part of the keys if each image is in a folder
      below it.

    If several members have the same key, the last one counts, as in an extraction.

    If the containers give labels, only images are listed, and these exceptions do not apply. If
    keys are not unique, they begin with the path of the container, and if they are still not
    unique, the number of the image takes the place of its name.

    Args:
        containers: the containers, in the order of their keys.
        for_list: whether the members are for a list, which gives the labels: a common top folder
            stays part of the keys.

    Raises:
        CorruptDataError: a container is damaged.
    """
    stems = [stem_of(data.container.key) for data in containers]
    is_split = len(stems) > 1 and all(map(parse_split, stems))
    listing = Listing()
    parts: list[Part] = []
    for data, stem in zip(containers, stems, strict=True):
        split = stem if is_split else b""
        own_name = b"" if is_split or len(stems) < 2 else stem
        part = Part(data.number, split, own_name)
        parts.append(part)
        inner = b""
        for entry in kind_of(data.container.key).list_entries(data):
            if entry.inner != inner:
                inner = entry.inner
                part = Part(data.number, split, inner or own_name)
                parts.append(part)
            part.add(entry, listing)
    has_labels = any(given.label is not None for part in parts for given in part.given)
    archives = sum(part.archives for part in parts)
    heads = dict(item for part in parts for item in part.heads.items())
    notes = [*dict.fromkeys(note for data in containers for note in data.notes)]
    keys = [data.container.key for data in containers]
    if not for_list and has_labels:
        return MemberListing(listing, label_images(listing, parts, keys), archives, heads, notes)
    move_keys(listing, parts, keep_top=for_list)
    keep_last(listing)
    single = [] if for_list else [keys[number] for number in _single_classes(parts, stems)]
    return MemberListing(listing, None, archives, heads, notes, single)


def _single_classes(parts: Sequence[Part], stems: Sequence[bytes]) -> list[int]:
    """Return the numbers of the containers that are one class each, if another one has several."""
    own = {it.container for it in parts if b"" in it.tops and it.name == stems[it.container]}
    classes = Counter[int]()
    for part in parts:
        classes[part.container] += len(part.tops) + (part.is_deep and bool(part.tops))
    return sorted(own) if any(classes[number] > 1 for number in classes.keys() - own) else []
