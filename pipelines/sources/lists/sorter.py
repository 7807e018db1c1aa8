"""Rows with labels, sorted into images, rejects and excluded images."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from pipelines.options import ConvertOptions
from pipelines.sources.base import SourceFilter, SourceImage, Sources, check_file_size
from pipelines.sources.class_layout import assign_labels_from_list
from pipelines.sources.group_by import GroupKey
from pipelines.sources.walk import ListedFile
from records.format.index import Reject
from records.format.label_map import LabelMap, label_ids
from records.format.layout import SplitName
from records.text.keys import key_to_text

_NUMBER = re.compile(r"([0-9]{1,9})(\.0+)?")


class RowSorter:
    """Sorts the rows of a list, one per image, into `sources`.

    Args:
        labels: the labels of the rows; without empty ones.
        options: the options of the conversion.
        source_filter: the selection of the images.
        path: the place of the rows, for messages.

    Raises:
        UsageError: class names collide, or do not match `--labels` or `--classes`.
    """

    def __init__(
        self,
        labels: Iterable[str],
        options: ConvertOptions,
        source_filter: SourceFilter,
        *,
        path: str,
    ) -> None:
        names = _name_numbers(labels, source_filter.given_labels)
        normalized = assign_labels_from_list(names.values(), source=path)
        classes = source_filter.map_classes(normalized.values(), source=path)
        self._class_names = {
            label: classes.names[normalized[name]] for label, name in names.items()
        }
        self._label_ids = label_ids(classes.labels)
        self._excluded_keys = source_filter.excluded_keys
        self._options = options
        self._group_of = GroupKey(options.group_by)
        self.sources = Sources(classes.labels, None)
        self.sources.notes += classes.notes

    def add(
        self,
        key: bytes,
        labels: tuple[str, ...],
        find: Callable[[], ListedFile | None],
        *,
        split: SplitName | None = None,
        group: bytes | None = None,
        url: str | None = None,
        columns: Callable[[], bytes | None] = lambda: None,
    ) -> None:
        """Add the row of an image.

        Args:
            key: the key of the image.
            labels: the labels of the row; at most one, unless an image may have any number.
            find: a function that returns the file, None if absent; not called for excluded images.
            split: the split of the row, if it has one.
            group: the group of the row, if it has one.
            url: the URL of a file that is not stored below the source.
            columns: a function that returns the packed columns of an image to convert.
        """
        sources = self.sources
        if key in self._excluded_keys:
            sources.left_out.add(key, "excluded-key")
            return
        named = [self._class_names[label] or "" for label in labels]
        names = [name for name in named if name in self._label_ids]
        if labels and not names:
            sources.left_out.add(key, "excluded-class", labels[0])
            return
        is_multi_label = self._options.is_multi_label
        name = None if is_multi_label or not names else names[0]
        numbers = sorted({self._label_ids[each] for each in names})
        file = find()
        if file is None:
            reject = Reject(key_to_text(key), name, "unreadable", "no such file", 0)
        elif not names and not is_multi_label:
            detail = "the image has no label"
            reject = Reject(key_to_text(key), None, "no-class", detail, file.size_bytes)
        elif rejection := check_file_size(file.size_bytes, self._options):
            reason, detail = rejection.reason, rejection.detail
            reject = Reject(key_to_text(key), name, reason, detail, file.size_bytes)
        else:
            sources.add(
                SourceImage(
                    key,
                    -1 if is_multi_label else numbers[0],
                    file.size_bytes,
                    url=url,
                    linked=file.linked or None,
                    member=file.member,
                    columns=columns(),
                    labels=numbers if is_multi_label else None,
                    split=split,
                    group=group or self._group_of(key),
                    fingerprint=file.fingerprint,
                )
            )
            return
        if is_multi_label:
            reject = replace(reject, classes=tuple(dict.fromkeys(names)))
        sources.rejects.append(reject)


def _name_numbers(texts: Iterable[str], given: LabelMap | None) -> dict[str, str]:
    """Return the class name of each label of a list.

    If all labels are numbers of the classes in `--labels`, and none is the name of a class, they
    are replaced by the names.

    Args:
        texts: the labels of the list.
        given: the label map of `--labels`.
    """
    names = {text: text for text in texts}
    if given is None or not given or names.keys() & set(given):
        return names
    numbers = {text: _NUMBER.fullmatch(text) for text in names}
    found = {text: int(match[1]) for text, match in numbers.items() if match is not None}
    if len(found) < len(names) or max(found.values(), default=0) >= len(given):
        return names
    return {text: given[number] for text, number in found.items()}
