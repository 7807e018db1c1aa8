"""Result of the search for quality issues."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from records.errors import UsageError
from records.format.layout import SplitName
from records.quality.rules import DUPLICATE, NEAR_DUPLICATE, RULES
from records.quality.text import format_quality

if TYPE_CHECKING:
    from collections.abc import Sequence

_ISSUES = (*(rule.issue for rule in RULES), DUPLICATE, NEAR_DUPLICATE)


class IssueSummary(msgspec.Struct, frozen=True):
    """One kind of issue.

    Attributes:
        meaning: a description of such images.
        measurement: the name of the measurement.
        limit: the limit beyond which an image has the issue; if the fixed limit does not fit the
            dataset, computed from the dataset.
        images: the number of images with the issue.
    """

    meaning: str
    measurement: str
    limit: float
    images: int


class ImageReference(msgspec.Struct, frozen=True):
    """An image of a dataset.

    Attributes:
        key: the key of the image.
        split: the split of the image.
        labels: the labels of the image.
        row: the number of the index row of the image, from 0, over all splits.
    """

    key: str
    split: SplitName
    labels: tuple[int, ...]
    row: int


class ImageFinding(msgspec.Struct, frozen=True):
    """An issue of an image.

    Attributes:
        issue: the name of the issue.
        key: the key of the image.
        split: the split of the image.
        labels: the labels of the image.
        value: the measurement that is beyond the limit.
        row: the number of the index row of the image, from 0, over all splits.
        duplicate_of: the image that is kept, if this one is a duplicate or a near-duplicate;
            otherwise None.
    """

    issue: str
    key: str
    split: SplitName
    labels: tuple[int, ...]
    value: float
    row: int
    duplicate_of: ImageReference | None = None


class Quality(msgspec.Struct, frozen=True):
    """Images of a dataset with quality issues.

    Attributes:
        labels: the class names, by label.
        images: the number of images in the dataset.
        undecodable: the number of images that cannot be decoded, so that no pixels were measured.
        issues: every kind of issue, by name; without `near-duplicate` if near-duplicates were not
            searched.
        findings: the issues of the images: by kind, and the worst first in each kind. An image may
            have several. Of several identical or similar images, those to remove have an issue.
    """

    labels: tuple[str, ...]
    images: int
    undecodable: int
    issues: dict[str, IssueSummary]
    findings: tuple[ImageFinding, ...]

    def only(self, issues: Sequence[str]) -> Quality:
        """Return the issues with these names, such as `["dark", "blurry"]`.

        Raises:
            UsageError: a name is not that of an issue, or near-duplicates were not searched.
        """
        for name in issues:
            if name not in _ISSUES:
                raise UsageError("unknown issue", expected=", ".join(_ISSUES), got=name)
            if name not in self.issues:
                raise UsageError("near-duplicates were not searched", hint="pass near=True")
        kept = {name: issue for name, issue in self.issues.items() if name in issues}
        findings = tuple(found for found in self.findings if found.issue in kept)
        return msgspec.structs.replace(self, issues=kept, findings=findings)

    def keys(self) -> list[str]:
        """Return the sorted keys of the images with an issue."""
        return sorted({found.key for found in self.findings})

    def __repr__(self) -> str:
        return "\n".join(format_quality(self))
