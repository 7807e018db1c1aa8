"""Text files of users, in every encoding that an editor or a shell writes."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.errors import UsageError
from records.text.keys import key_from_text
from records.user_text import decode_strict_text, decode_text, decode_toml

ENCODINGS = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16": b"",
    "utf-32": b"",
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_decode_text_any_encoding_gives_the_same_text(encoding: str, line_end: str) -> None:
    text = f"rose/é.jpg{line_end}{'漢字'}/1.jpg{line_end}"
    content = ENCODINGS[encoding] + text.encode(encoding)
    assert decode_text(content, path="list.txt") == text
    assert decode_strict_text(content, path="list.txt") == text


@given(st.binary(max_size=40))
def test_decode_text_any_bytes_are_text_or_a_usage_error(content: bytes) -> None:
    try:
        text = decode_text(content, path="list.txt")
    except UsageError:
        return
    is_marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if not is_marked and b"%" not in content:
        assert key_from_text(text) == content.removeprefix(codecs.BOM_UTF8)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_decode_text_utf_16_without_mark_is_refused(encoding: str) -> None:
    with pytest.raises(UsageError, match="UTF-16 without a byte order mark"):
        decode_text("rose/1.jpg\n".encode(encoding), path="list.txt")


BINARY = {
    "a JPEG image": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "a PNG image": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "a ZIP archive, or a spreadsheet": b"PK\x03\x04\x14\0",
    "a GZIP file": b"\x1f\x8b\x08\0",
    "a Parquet file": b"PAR1\x15\x04",
    "an SQLite database": b"SQLite format 3\0\x10",
    "binary data": b"AB\0\1\2\3\4\5\6\7" * 30,
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("decode", [decode_text, decode_strict_text])
def test_decode_text_binary_file_is_one_line_that_names_it(
    decode: Callable[..., str], name: str
) -> None:
    with pytest.raises(UsageError) as found:
        decode(BINARY[name] + b"\xff" * 5000, path="list.txt")
    line = "list.txt: the file is not text, expected text in UTF-8, got "
    assert str(found.value) == line + name


def test_decode_text_with_a_few_control_characters_is_text() -> None:
    content = b"rose/\x01\x02.jpg,rose\r\n\x0c\x1b\x00" * 2
    assert decode_text(content, path="list.txt").encode() == content


def test_decode_strict_text_invalid_utf_8_names_the_line() -> None:
    with pytest.raises(UsageError, match=r"labels\.txt line 3: the file is not valid UTF-8"):
        decode_strict_text(b"cat\ndog\nd\xffg\n", path="labels.txt")


@pytest.mark.parametrize("part", ["a", "a-1", '"a"', "'a'", '"\\\\"'])
def test_decode_toml_key_with_many_parts_is_refused_in_linear_time(part: str) -> None:
    def decode(text: str) -> dict[str, Any]:
        content = text.encode()
        return decode_toml(content, path="x.toml", what="x", most_bytes=1 << 20, hint="-")[1]

    assert decode(".".join([part] * 32) + " = 1")
    for text in (
        ".".join([part] * 34) + " = 1",
        "[" + " . ".join([part] * 34) + "]",
        "x = {" + ".".join([part] * 100_000) + " = 1}",
    ):
        with pytest.raises(UsageError, match="a key with too many parts"):
            decode(text)


@pytest.mark.parametrize("repeated", ["a", '"', "'", '\\"', '"\\', '"\\\\', "a ", "a.a ", "\n"])
def test_decode_toml_of_any_characters_takes_linear_time(repeated: str) -> None:
    content = (repeated * 500_000)[: 1 << 20].encode()
    with suppress(UsageError):
        decode_toml(content, path="x.toml", what="x", most_bytes=1 << 20, hint="-")
