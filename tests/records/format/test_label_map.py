"""Label maps: formats, validation, output."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.errors import UsageError
from records.format.label_map import format_labels, parse_labels

printable = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12)
label_maps = st.lists(
    printable.map(lambda name: unicodedata.normalize("NFC", name)).filter(str.strip),
    min_size=1,
    max_size=20,
    unique=True,
).map(tuple)


def test_label_map_format_writes_numbered_utf8_lines() -> None:
    assert format_labels(("daisy", "rosé")) == "0:daisy\n1:rosé\n".encode()


@given(label_maps)
def test_label_map_round_trip_returns_same_labels(labels: tuple[str, ...]) -> None:
    assert parse_labels(format_labels(labels), path="labels.txt") == labels


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("labels.txt", "0:cat\n1:dog\n"),
        ("labels.txt", "1:dog\n0:cat"),
        ("labels.txt", "\ufeff0:cat\r\n1:dog\r\n"),
        ("labels.txt", "cat\n\ndog\n"),
        ("labels.txt", "  cat \r\ndog"),
        ("map.json", '["cat", "dog"]'),
        ("map.json", '{"cat": 0, "dog": 1}'),
        ("map.json", '{"1": "dog", "0": "cat"}'),
        ("map.pbtxt", "item {\n  id: 1\n  name: 'cat'\n}\nitem {\n  id: 2\n  name: \"dog\"\n}\n"),
        ("map.pbtxt", 'item { name: "cat" id: 0 } item { name: "dog" id: 1 }'),
    ],
)
def test_label_map_every_supported_form_is_parsed(path: str, content: str) -> None:
    assert parse_labels(content.encode(), path=path) == ("cat", "dog")


def test_label_map_plain_lines_keep_leading_number_and_colon() -> None:
    assert parse_labels(b"0:cat\nplain\n", path="labels.txt") == ("0:cat", "plain")


def test_label_map_names_are_normalized_to_nfc() -> None:
    assert parse_labels("0:e\u0301lan\n".encode(), path="labels.txt") == ("élan",)


@pytest.mark.parametrize(
    ("path", "content", "told"),
    [
        ("labels.txt", b"\xff\xfe", "not valid UTF-8"),
        ("labels.txt", b"", "there are no classes"),
        ("labels.txt", b"0:cat\n2:dog\n", "without gaps"),
        ("labels.txt", b"0:cat\n0:dog\n", "without gaps"),
        ("labels.txt", b"cat\ncat\n", "duplicate class name"),
        ("labels.txt", b"0:cat\n1: \n", "is empty or has control characters"),
        ("labels.txt", b"0:c\x07t\n", "is empty or has control characters"),
        ("map.json", b"3", "must be a list of names"),
        ("map.json", b"{", "must be a list of names"),
        ("map.json", json.dumps({"cat": "x"}).encode(), "must be a list of names"),
        ("map.pbtxt", b"item { id: 1 }", "has no id or no name"),
        ("map.pbtxt", b"", "there are no classes"),
    ],
)
def test_label_map_invalid_content_raises_usage_error(path: str, content: bytes, told: str) -> None:
    with pytest.raises(UsageError, match=told) as found:
        parse_labels(content, path=path)
    assert found.value.path == path
