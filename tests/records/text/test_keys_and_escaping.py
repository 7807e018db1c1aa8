"""Keys as text and back, and names escaped for terminals."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.text.escaping import escape_for_display, escape_json, is_invisible
from records.text.keys import key_from_text, key_to_single_line, key_to_text


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (b"a/b.jpg", "a/b.jpg"),
        ("é/中.png".encode(), "é/中.png"),
        (b"100%.jpg", "100%25.jpg"),
        (b"\xff\xfe.jpg", "%FF%FE.jpg"),
        (b"%FF", "%25FF"),
        (b"\xed\xb2\x80", "%ED%B2%80"),
    ],
)
def test_key_to_text_escapes_percent_and_invalid_utf8(key: bytes, text: str) -> None:
    assert key_to_text(key) == text
    assert key_from_text(text) == key


@given(st.binary())
def test_key_to_text_any_key_round_trips(key: bytes) -> None:
    assert key_from_text(key_to_text(key)) == key
    key_to_text(key).encode()


@given(st.binary())
def test_key_to_single_line_any_key_round_trips(key: bytes) -> None:
    line = key_to_single_line(key_to_text(key))
    assert key_from_text(line) == key
    assert len(line.splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("daisy", "daisy"),
        ("élan 中", "élan 中"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\nb", r"a\nb"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("a\u200bb", r"a\u200bb"),
    ],
)
def test_escape_for_display_escapes_control_characters(text: str, escaped: str) -> None:
    assert escape_for_display(text) == escaped


invisible = st.characters(categories=["Cc", "Cf", "Co", "Zl", "Zp"]) | st.sampled_from(
    "\u3164\u115f"
)


@given(st.lists(invisible | st.characters(exclude_categories=["Cs"])).map("".join))
def test_escaping_any_name_shows_no_invisible_character_and_json_reads_back(name: str) -> None:
    printed = escape_json(msgspec.json.encode({"name": name})).decode()
    assert json.loads(printed) == {"name": name}
    for text in (printed, escape_for_display(name), key_to_single_line(key_to_text(name.encode()))):
        assert not any(is_invisible(char) for char in text)
    assert key_from_text(key_to_single_line(key_to_text(name.encode()))) == name.encode()
