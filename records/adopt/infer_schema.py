"""Which features of others' records hold the image, its class and its key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.errors import UsageError
from records.format.schema import FeatureNames
from records.text.escaping import escape_for_display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from records.inspection.feature_stats import FeatureStats

ROLES = ("image", "label", "text", "key")
"""What `--feature` can name; the fields of `FeatureNames`."""

# TF-Slim's names first, then those of TensorFlow Datasets, then what else is met.
_IMAGES = ("image/encoded", "image", "encoded", "image_raw", "jpg", "jpeg", "png")
_LABELS = ("image/class/label", "label", "labels", "class", "class_id", "target")
_TEXTS = ("image/class/text", "label_text", "class_name", "class", "label", "text")
_KEYS = (
    "image/filename",
    "image/file_name",
    "file_name",
    "filename",
    "image/source_id",
    "key",
    "id",
)
_OF_OBJECTS = ("image/object/", "objects/", "bbox", "image/panoptic/")


def parse_features(texts: Iterable[str]) -> dict[str, str]:
    """Names of features by role, from `ROLE=NAME` each. Raises UsageError."""
    asked = dict(text.partition("=")[::2] for text in texts)
    for role, name in asked.items():
        if role not in ROLES or not name:
            raise UsageError(
                "--feature does not say what holds what",
                expected="image=NAME, label=NAME, text=NAME or key=NAME",
                got=f"{role}={name}",
            )
    return asked


def choose_features(
    facts: Iterable[FeatureStats], asked: Mapping[str, str], *, path: str
) -> FeatureNames:
    """The features to read, by their names and by what their values look like.

    Args:
        facts: of the features of some records.
        asked: names that the user gave, by role.
        path: the file, for messages.

    Raises:
        UsageError: no feature holds whole images, or none has one class an image, or one that was
            asked for is not there.
    """
    by_name = {fact.name: fact for fact in facts}
    for name in asked.values():
        if name not in by_name:
            raise UsageError(
                f"the records have no feature {escape_for_display(name)}",
                path=path,
                expected="one of " + _list(by_name),
            )
    image = asked.get("image") or _choose(_IMAGES, by_name, _holds_image) or _only_image(by_name)
    if image is None:
        raise UsageError(
            "no feature holds one JPEG or PNG image a record",
            path=path,
            got=_list(by_name),
            hint="shardmill adopts encoded images alone",
        )
    label = asked.get("label") or _choose(_LABELS, by_name, _is_number)
    text = asked.get("text") or _choose(_TEXTS, by_name, _is_text)
    if label is None and text is None:
        raise _no_class(by_name, path)
    return FeatureNames(image, label, text, asked.get("key") or _choose(_KEYS, by_name, _is_text))


def _choose(
    names: Iterable[str],
    facts: Mapping[str, FeatureStats],
    is_good: Callable[[FeatureStats], bool],
) -> str | None:
    return next((name for name in names if name in facts and is_good(facts[name])), None)


def _only_image(facts: Mapping[str, FeatureStats]) -> str | None:
    images = [name for name, fact in facts.items() if _holds_image(fact)]
    return images[0] if len(images) == 1 else None


def _is_single(fact: FeatureStats) -> bool:
    return fact.values.max == 1


def _holds_image(fact: FeatureStats) -> bool:
    return _is_single(fact) and bool({"jpeg", "png"} & set(fact.images))


def _is_number(fact: FeatureStats) -> bool:
    return _is_single(fact) and fact.kind == "int64"


def _is_text(fact: FeatureStats) -> bool:
    has_bytes = fact.size_bytes is not None and fact.size_bytes.max > 0
    return _is_single(fact) and fact.kind == "bytes" and has_bytes and not fact.images


def _no_class(facts: Mapping[str, FeatureStats], path: str) -> UsageError:
    of_objects = [name for name in facts if name.startswith(_OF_OBJECTS)]
    if of_objects:
        return UsageError(
            "these are records for object detection, with a list of labels for each image",
            path=path,
            expected="one class an image",
            got=_list(of_objects),
            hint="shardmill is for images of one class each",
        )
    return UsageError(
        "no feature tells the class of each image",
        path=path,
        got=_list(facts),
        hint="name one with --feature label=NAME (numbers) or --feature text=NAME (names)",
    )


def _list(names: Iterable[str]) -> str:
    return escape_for_display(", ".join(sorted(names))) or "no features"
