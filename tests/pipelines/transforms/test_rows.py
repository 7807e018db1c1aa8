"""Checks of rows; the message names the key."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import apache_beam as beam
import numpy as np
import pytest

from pipelines.transforms.rows import ImageRow, read_row
from records.dataset import Record
from records.errors import UsageError

GOOD: dict[str, Any] = {"key": "a/b.png", "label": "a", "image": b"content"}


@pytest.mark.parametrize("make", [dict, beam.Row, SimpleNamespace])
def test_read_row_of_any_type_has_all_fields(make: Any) -> None:
    row = make(**GOOD, split="val", group=7, height=5)
    assert read_row(row) == (ImageRow(b"a/b.png", ("a",), "validation", b"7", None), b"content")


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"key": "./a//b/../c.png"}, {"key": b"a/c.png"}),
        ({"key": b"\xff.png"}, {"key": b"\xff.png"}),
        ({"key": "\udcff.png"}, {"key": b"\xff.png"}),
        ({"label": " a\n"}, {"labels": ("a",)}),
        ({"label": np.int64(3)}, {"labels": ("3",)}),
        ({"label": None}, {"labels": ()}),
        ({"label": np.array("cat")}, {"labels": ("cat",)}),
        ({"label": np.array(3)}, {"labels": ("3",)}),
        ({"split": "Unassigned"}, {"split": None}),
        ({"group": ""}, {"group": None}),
        ({"image": None, "uri": "/x/y.png"}, {"url": "/x/y.png"}),
        ({"image": None, "uri": "gs://b/y.png"}, {"url": "gs://b/y.png"}),
        ({"image": None, "uri": np.str_("/x/y.png")}, {"url": "/x/y.png"}),
        ({"label": (1 << 63) - 1}, {"labels": (str((1 << 63) - 1),)}),
    ],
)
def test_read_row_field_is_normalized(given: dict[str, Any], read: dict[str, Any]) -> None:
    row, _ = read_row(GOOD | given)
    assert {name: getattr(row, name) for name in read} == read


def test_read_row_text_of_a_numpy_string_is_str() -> None:
    row, _ = read_row(GOOD | {"label": np.str_("a"), "image": None, "uri": np.str_("/x")})
    assert (type(row.labels[0]), type(row.url)) == (str, str)


def test_read_row_record_is_an_error_that_shows_the_row() -> None:
    record = Record(b"content", (7,), ("rose",), "a/b.png", "png", 1, 1, 3)
    with pytest.raises(UsageError, match=r"row a/b\.png: a row is a Record") as caught:
        read_row(record)
    assert "label=record.class_name" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": None}, "a row has no key"),
        ({"key": 7}, "the key of a row is neither text nor bytes"),
        ({"key": " "}, "the key of a row is empty"),
        ({"key": "a\0b"}, "the key of a row is empty, or has a character"),
        ({"key": "\ud800"}, "the key of a row is empty, or has a character"),
        ({"key": "../a"}, r"row \.\./a: the key of a row leads out of the source"),
        ({"key": "a/../.."}, "leads out of the source"),
        ({"key": b"/etc/passwd"}, "row /etc/passwd: the key of a row leads out of the source"),
        ({"key": "k" * 5000}, "the key of a row is longer than 4,095 bytes"),
        ({"image": None}, "row a/b.png: a row needs either the bytes or the URI.*got neither"),
        ({"uri": "/x"}, "row a/b.png: a row needs either the bytes or the URI.*got both"),
        ({"image": "a.png"}, "row a/b.png: the field image of a row is not bytes, got str"),
        ({"label": 1.5}, "row a/b.png: the field label of a row is neither text nor"),
        ({"label": -1}, "row a/b.png: the field label of a row is a number out of range"),
        ({"group": 10**5000}, "row a/b.png: the field group of a row is a number out of range"),
        ({"label": "\udc80"}, "row a/b.png: the field label of a row is not valid UTF-8"),
        ({"split": "other"}, "row a/b.png: the field split of a row is unknown.*got other"),
        ({"group": [1]}, "row a/b.png: the field group of a row is neither"),
        ({"image": None, "uri": "photos/1.png"}, "row a/b.png: the field uri of a row is neither"),
        ({"image": None, "uri": "http://x/1.png"}, "row a/b.png: .*not supported, .*got http://"),
        ({"image": None, "uri": "s3://me:secret@x/1"}, "row a/b.png: .*not supported"),
    ],
)
def test_read_row_invalid_field_is_an_error_that_names_the_key(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read_row(GOOD | change)
    assert "secret" not in str(caught.value)
