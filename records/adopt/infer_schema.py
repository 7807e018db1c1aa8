"""Features of adopted records: image, label, class name and key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.errors import UsageError
from records.format.schema import FeatureNames
from records.text.escaping import escape_for_display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from records.inspection.feature_stats import FeatureStats

ROLES = ("image", "label", "text", "key")
"""The roles of `--feature`, and the fields of `FeatureNames`."""

# Feature names in order of preference: TF-Slim, TensorFlow Datasets, then other common names.
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
    """Parse `ROLE=NAME` texts into feature names by role. Raises UsageError."""
    requested = dict(text.partition("=")[::2] for text in texts)
    for role, name in requested.items():
        if role not in ROLES or not name:
            raise UsageError(
                "--feature is not ROLE=NAME",
                expected="image=NAME, label=NAME, text=NAME or key=NAME",
                got=f"{role}={name}",
            )
    return requested


def choose_features(
    stats: Iterable[FeatureStats],
    requested: Mapping[str, str],
    *,
    path: str,
    has_several_labels: bool = False,
    needs_class: bool = True,
) -> FeatureNames:
    """Return the features to read, chosen by their names and values.

    Args:
        stats: the statistics of each feature, from the first records of a file.
        requested: the feature names that the user passed, by role.
        path: the path of the file, for messages.
        has_several_labels: whether an image may have any number of classes.
        needs_class: whether a feature with the class is required.

    Raises:
        UsageError: no feature has one encoded image per record, no feature has one class per image,
            or a requested feature does not exist.
    """
    by_name = {feature.name: feature for feature in stats}
    for role, name in requested.items():
        if role not in ROLES:
            raise UsageError("unknown role of a feature", expected=", ".join(ROLES), got=role)
        if name not in by_name:
            raise UsageError(
                f"the records have no feature {escape_for_display(name)}",
                path=path,
                expected="one of " + _list(by_name),
            )
    image = (
        requested.get("image") or _choose(_IMAGES, by_name, _holds_image) or _only_image(by_name)
    )
    if image is None:
        raise UsageError(
            "no feature has one JPEG or PNG image per record",
            path=path,
            got=_list(by_name),
            hint="only encoded images can be adopted; name the feature with --feature image=NAME",
        )
    is_label, is_name = _is_number, _is_text
    if has_several_labels:
        is_label, is_name = _has_numbers, _has_texts
    label = requested.get("label") or _choose(_LABELS, by_name, is_label)
    text = requested.get("text") or _choose(_TEXTS, by_name, is_name)
    if label is None and text is None and needs_class:
        raise _no_class(by_name, path)
    return FeatureNames(
        image, label, text, requested.get("key") or _choose(_KEYS, by_name, _is_text)
    )


def _choose(
    names: Iterable[str],
    stats: Mapping[str, FeatureStats],
    is_good: Callable[[FeatureStats], bool],
) -> str | None:
    return next((name for name in names if name in stats and is_good(stats[name])), None)


def _only_image(stats: Mapping[str, FeatureStats]) -> str | None:
    images = [name for name, feature in stats.items() if _holds_image(feature)]
    return images[0] if len(images) == 1 else None


def _is_single(feature: FeatureStats) -> bool:
    return feature.values.max == 1


def _holds_image(feature: FeatureStats) -> bool:
    return _is_single(feature) and bool({"jpeg", "png"} & set(feature.images))


def _is_number(feature: FeatureStats) -> bool:
    return _is_single(feature) and _has_numbers(feature)


def _has_numbers(feature: FeatureStats) -> bool:
    return feature.kind == "int64"


def _is_text(feature: FeatureStats) -> bool:
    return _is_single(feature) and _has_texts(feature)


def _has_texts(feature: FeatureStats) -> bool:
    has_bytes = feature.size_bytes is not None and feature.size_bytes.max > 0
    return feature.kind == "bytes" and has_bytes and not feature.images


def _no_class(stats: Mapping[str, FeatureStats], path: str) -> UsageError:
    of_objects = [name for name in stats if name.startswith(_OF_OBJECTS)]
    if of_objects:
        return UsageError(
            "the records are for object detection: each image has a list of labels",
            path=path,
            expected="one class per image",
            got=_list(of_objects),
            hint="only image classification datasets can be adopted",
        )
    return UsageError(
        "no feature has the class of each image",
        path=path,
        got=_list(stats),
        hint="name the feature with --feature label=NAME (numbers) or --feature text=NAME (names)",
    )


def _list(names: Iterable[str]) -> str:
    return escape_for_display(", ".join(sorted(names))) or "no features"
