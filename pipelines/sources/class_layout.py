"""Classes and splits from folder names, and the labels of classes."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import product
from typing import NamedTuple, TypeVar

from records.errors import UsageError
from records.format.label_map import LabelMap, check_labels, is_valid_name
from records.format.layout import SPLIT_WORDS, Layout, SplitName, parse_split
from records.text.escaping import escape_for_display
from records.text.keys import key_to_text
from records.text.names import class_name, normalize_name

NO_CLASSES = "the source has no classes"
CLASS_FOLDERS = "one folder per class, with the images of the class in it"
"""The expected source, for error messages."""

_COMPARED_NAMES = 10
_Name = TypeVar("_Name", bytes, str)


class KeyParts(NamedTuple):
    """The class folder and the split in a key; None for each part that the key lacks."""

    class_folder: bytes | None
    split: SplitName | None


def check_not_split(folders: Iterable[bytes], *, source: str) -> None:
    """Check that top folders whose layout is `classes` do not look like splits.

    They do if their names contain words for two splits, such as `train_a` and `test_a`, or if a
    folder with a word for a split and another folder contain a folder of the same name.

    Raises:
        UsageError: the top folders look like splits.
    """
    below: dict[bytes, set[bytes]] = {}
    for folder in folders:
        top, _, name = folder.partition(b"/")
        below.setdefault(top, set()).update([name] if name else [])
    split_like = {top: split for top in below if (split := _split_word(top)) is not None}
    if len(below) < 2 or not split_like:
        return
    holders = Counter(name for names in below.values() for name in names)
    has_same_classes = any(holders[name] > 1 for top in split_like for name in below[top])
    if len(set(split_like.values())) > 1 or has_same_classes:
        raise UsageError(
            "the top folders look like splits, but not all of them are named after one",
            path=source,
            expected="train, validation, test, or a name such as Training, val, test_set",
            got=", ".join(key_to_text(top) for top in sorted(below)[:10]),
            hint="rename the folders, move the others out of the source, or pass --layout classes "
            "if these folders are the classes",
        )


def _split_word(folder: bytes) -> SplitName | None:
    """Return the split of the first word in a name that stands for one."""
    words = re.split(r"[^a-z]+", folder.decode("utf-8", "replace").lower())
    return next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), None)


def parse_key(key: bytes, layout: Layout, *, leaf_class: bool = False) -> KeyParts:
    """Return class folder and split of a key.

    Args:
        key: the key.
        layout: the layout of the top folders.
        leaf_class: whether the class folder is the innermost folder; otherwise it is the outermost
            one, and folders below it do not matter.

    Raises:
        UsageError: the layout is `splits`, and the top folder is not named after a split.
    """
    folders = key.split(b"/")[:-1]
    split = None
    if layout == "splits" and folders:
        split = parse_split(folders[0])
        if split is None:
            raise UsageError(
                "with --layout splits, every top folder must be named after a split",
                expected="train, validation, test, or a name such as Training, val, test_set",
                got=key_to_text(folders[0]),
            )
        folders = folders[1:]
    return KeyParts(folders[-1 if leaf_class else 0] if folders else None, split)


def class_folders(folders: Iterable[bytes], layout: Layout) -> set[bytes]:
    """Return the names of all class folders, including empty ones."""
    depth = 0 if layout == "classes" else 1
    return {folder.split(b"/")[-1] for folder in folders if folder.count(b"/") == depth}


def is_class_folder(folder: bytes) -> bool:
    """Return whether the name of a folder can be the name of a class."""
    return is_valid_name(class_name(folder))


def assign_labels(folders: Iterable[bytes], *, source: str) -> dict[bytes, str]:
    """Return class folders and their class names, in label order (UTF-8 bytes of the name).

    Raises:
        UsageError: two folders have the same class name, or a class name is invalid.
    """
    names = {folder: class_name(folder) for folder in sorted(folders)}
    error = "two class folders have the same name in Unicode NFC"
    return _in_label_order(names, error, source, hint="rename or merge the folders")


def assign_labels_from_list(names: Iterable[str], *, source: str) -> dict[str, str]:
    """Return class names of a list and their NFC forms, in label order. Raises UsageError."""
    normalized = {name: normalize_name(name) for name in sorted(set(names))}
    return _in_label_order(normalized, "two class names are the same in Unicode NFC", source)


def _in_label_order(
    classes: Mapping[_Name, str], error: str, source: str, hint: str | None = None
) -> dict[_Name, str]:
    by_class: dict[str, _Name] = {}
    for name, normalized in classes.items():
        other = by_class.setdefault(normalized, name)
        if other != name:
            raise UsageError(error, path=source, got=f"{other!r} and {name!r}", hint=hint)
    ordered = dict(sorted(by_class.items(), key=lambda item: item[0].encode()))
    if ordered:
        check_labels(tuple(ordered), path=source)
    return {name: normalized for normalized, name in ordered.items()}


def choose_labels(
    present: Iterable[str],
    *,
    classes: tuple[str, ...] | None,
    given: LabelMap | None,
    source: str,
    is_mapped: bool = False,
) -> LabelMap:
    """Return the label map: the classes in `present`, the subset `classes`, or `given`.

    Args:
        present: class names in the source.
        classes: value of `--classes`: the subset to convert.
        given: label map of `--labels`.
        source: the source, for error messages.
        is_mapped: whether the source has classes, which `--map` may have dropped.

    Raises:
        UsageError: the source has no class, lacks one of `classes`, or has one that `given` lacks.
    """
    found = tuple(present)
    if classes is not None:
        chosen = {normalize_name(name) for name in classes}
        _require_known("the source lacks a class of --classes", chosen - set(found), found)
        return tuple(name for name in found if name in chosen)
    if given is not None:
        _require_known("--labels lacks a class of the source", set(found) - set(given), given)
        return given
    if not found and is_mapped:
        raise UsageError(
            "--map drops every class of the source", path=source, hint="keep at least one class"
        )
    if not found:
        raise UsageError(
            NO_CLASSES,
            path=escape_for_display(source),
            expected=CLASS_FOLDERS,
            hint="move the images of each class into a separate folder, or list all images in a"
            " file for --list",
        )
    return found


def extend_labels(existing: LabelMap, found: LabelMap, *, allow_new: bool) -> LabelMap:
    """Return the label map of a dataset with the new classes of an append at its end.

    Raises:
        UsageError: there are new classes, and `allow_new` is false.
    """
    known = set(existing)
    new = tuple(name for name in found if name not in known)
    if new and not allow_new:
        raise UsageError(
            "the source has classes that the dataset does not have",
            got=", ".join(map(escape_for_display, new[:10])),
            hint="pass --allow-new-classes to add them after the existing labels, or --classes to "
            f"exclude them{_hint_renamed(new, [name for name in existing if name not in found])}",
        )
    return (*existing, *new)


def _hint_renamed(new: Sequence[str], missing: Sequence[str]) -> str:
    """Return the hint for a renamed class folder: an example with the most similar names."""
    if not missing:
        return ""
    pairs = product(new[:_COMPARED_NAMES], missing[:_COMPARED_NAMES])
    name, old = max(pairs, key=lambda pair: SequenceMatcher(None, *pair).ratio())
    example = escape_for_display(shlex.quote(f"{old}={name}"))
    return (
        f", or for a renamed class folder --rename-class OLD=NEW, such as --rename-class {example},"
        " or --map NEW=OLD to keep the old name"
    )


def _require_known(error: str, missing: set[str], known: Iterable[str]) -> None:
    if missing:
        raise UsageError(
            error,
            expected=", ".join(map(escape_for_display, list(known)[:10])) or "none",
            got=", ".join(map(escape_for_display, sorted(missing)[:10])),
        )
