"""Label maps: formats, validation, output."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.errors import UsageError
from records.format.label_map import describe_alike, format_labels, parse_labels
from records.text.names import normalize_name
from tests.processor_time import processor_seconds

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
        ("labels.txt", b"c\xfft", "not valid UTF-8"),
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
    assert str(found.value.path).startswith(path)


def test_label_map_pbtxt_comments_strings_and_nested_messages_are_understood() -> None:
    content = """
    # item { id: 7 name: "commented out" }
    item { id: 1 # the { first
      name: 'ca\\'t' }
    item: { keypoints { id: 9 name: "eye" } name: "d\\303\\266g # } {", id: 2 display_name: "D" }
    """
    assert parse_labels(content.encode(), path="map.pbtxt") == ("ca't", "dög # } {")


@pytest.mark.parametrize(
    "piece",
    [
        "item{", "item{item{", 'item{name:"', "name:'", "item{name:'\\", "item ", "{", "item{id:",
        '"\\', "#", "item{id:1 name:'a'} # ", "item<", "}", "item{id:1 name:'a'}\n",
    ],
)  # fmt: skip
def test_label_map_pbtxt_of_repeated_pieces_takes_linear_time(piece: str) -> None:
    content = (piece * (300_000 // len(piece))).encode()
    assert processor_seconds(lambda: parse_labels(content, path="map.pbtxt")) < 8


@pytest.mark.parametrize("twice", [0, 20_000, 40_999])
def test_label_map_of_many_names_with_one_twice_takes_linear_time(twice: int) -> None:
    names = [f"class {number}" for number in range(41_000)]
    content = "\n".join([*names, names[twice]]).encode()
    assert processor_seconds(lambda: parse_labels(content, path="labels.txt")) < 3
    with pytest.raises(UsageError, match=f"duplicate class name, got 'class {twice}'"):
        parse_labels(content, path="labels.txt")


@pytest.mark.parametrize("marks", ["\u0301", "\u0301\u0327", "\u0327\u0301\u05b0"])
def test_label_map_name_of_many_combining_marks_takes_linear_time(marks: str) -> None:
    content = ("a" + marks * (150_000 // len(marks))).encode()
    assert processor_seconds(lambda: parse_labels(content, path="labels.txt")) < 4


@given(st.text(st.sampled_from("ae\u0301\u0327\u05b0한é"), max_size=40))
def test_normalize_name_of_usual_length_is_nfc(name: str) -> None:
    assert normalize_name(name) == unicodedata.normalize("NFC", name)
    assert normalize_name(normalize_name(name)) == normalize_name(name)


@pytest.mark.parametrize("other", ["Rose", "rose ", " rose", "ROSE", "rose\u00a0"])
def test_describe_alike_case_or_blanks_are_noted(other: str) -> None:
    (note,) = describe_alike(("rose", "tulip", other))
    assert "differ only by case or blanks" in note
    assert list(describe_alike(("rose", "roses", "tulip"))) == []


@pytest.mark.parametrize("code", ["\\ud800", "\\udfff", "\\uD83Dx", "a\\udc00\\ud800"])
@pytest.mark.parametrize(
    "form", ['["cat",\n"{}"]', '{{"cat": 0,\n"{}": 1}}', '{{"0": "cat",\n"1": "{}"}}']
)
def test_label_map_json_lone_surrogate_is_named_with_its_line(code: str, form: str) -> None:
    with pytest.raises(UsageError, match=r"line 2: \\u[dD]\w{3} is one half") as caught:
        parse_labels(form.format(code).encode(), path="map.json")
    assert "must be a list" not in str(caught.value)


@pytest.mark.parametrize("name", [r"\355\240\200", r"\xff", r"a\300"])
def test_label_map_pbtxt_name_that_is_not_utf8_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="not valid UTF-8"):
        parse_labels(f'item {{ id: 1 name: "{name}" }}'.encode(), path="map.pbtxt")
