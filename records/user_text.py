"""Text files of users, in the encodings of editors and shells."""

from __future__ import annotations

import codecs
import re
from typing import Any

from records.errors import UsageError
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize

# The mark of UTF-32 begins with the mark of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


_BINARY = (
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"RIFF", "a WebP image, or audio or video"),
    (b"%PDF-", "a PDF file"),
    (b"PK\x03\x04", "a ZIP archive, or a spreadsheet"),
    (b"\x1f\x8b", "a GZIP file"),
    (b"PAR1", "a Parquet file"),
    (b"SQLite format 3\0", "an SQLite database"),
)
_CONTROLS = bytes({*range(32), 127} - {*b"\t\n\v\f\r\x1b"})
_HEAD_BYTES = 4096
_MOST_CONTROLS = 8


def _describe_binary(content: bytes) -> str | None:
    """Return what a file is that is not text; None if it may be text with a few odd characters."""
    found = next((name for magic, name in _BINARY if content.startswith(magic)), None)
    head = content[:_HEAD_BYTES]
    controls = len(head) - len(head.translate(None, _CONTROLS))
    is_binary = controls > max(_MOST_CONTROLS, len(head) // 20)
    return found or ("binary data" if is_binary else None)


def decode_text(content: bytes, *, path: str, expected: str = "text in UTF-8") -> str:
    """Return the text of a file: UTF-8, or UTF-16 or UTF-32 with a byte order mark (PowerShell).

    Args:
        content: the content of the file. Bytes that are not UTF-8 become lone surrogates, as in
            file names of Python, because a path may contain any bytes.
        path: the path of the file, for messages.
        expected: the expected content, for messages.

    Raises:
        UsageError: the file is binary, or is UTF-16 or UTF-32 without a mark or with invalid
            characters.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    if encoding is None:
        if 0 in content[:2]:
            raise _not_text(path, "zero bytes, as in UTF-16 without a byte order mark")
        if (binary := _describe_binary(content)) is not None:
            raise UsageError("the file is not text", path=path, expected=expected, got=binary)
        return content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise _not_text(path, str(error)) from error


def decode_strict_text(content: bytes, *, path: str) -> str:
    """Return the text of a file as `decode_text`, but refuse bytes that are not UTF-8.

    Raises:
        UsageError: the file is not text; the message contains the line number.
    """
    text = decode_text(content, path=path)
    if not is_utf8(text):
        lines = enumerate(text.split("\n"), start=1)
        number, line = next((n, line) for n, line in lines if not is_utf8(line))
        raise UsageError(
            "the file is not valid UTF-8",
            path=f"{path} line {number}",
            got=escape_for_display(line.strip()[:_SHOWN_CHARS]),
            hint="save the file as UTF-8",
        )
    return text


_MOST_KEY_PARTS = 32
# Each part begins at a word or a quotation mark, and is read once: the search takes linear time.
_KEY_PART = r"""(?>(?<![\w-])[\w-]+|(?<!\\)"(?>[^"\\\n]|\\.){0,1000}+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?>{_KEY_PART}[ \t]*+\.[ \t]*+){{{_MOST_KEY_PARTS}}}", re.ASCII)


def decode_toml(
    content: bytes, *, path: str, what: str, most_bytes: int, hint: str
) -> tuple[str, dict[str, Any]]:
    """Return the text of a TOML file, and its values.

    Args:
        content: the content of the file.
        path: the path of the file, for messages.
        what: a singular noun phrase for the content, for messages.
        most_bytes: the maximum size of the file.
        hint: what to do if the file is not TOML.

    Raises:
        UsageError: the file is too large, is not text in UTF-8, or is not TOML.
    """
    import tomllib

    if len(content) > most_bytes:
        expected = f"at most {pluralize(most_bytes, 'byte')}"
        raise UsageError(f"{what} is too large", path=path, expected=expected)
    text = decode_strict_text(content, path=path)
    if _LONG_KEY.search(text) is not None:  # tomllib needs quadratic time and memory
        expected = f"keys of at most {_MOST_KEY_PARTS} parts"
        raise UsageError(f"{what} has a key with too many parts", path=path, expected=expected)
    try:
        return text, tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also an integer with too many digits
        raise UsageError(
            f"{what} is not valid TOML", path=path, got=str(error), hint=hint
        ) from error


def place_of_key(path: str, text: str, key: str) -> str:
    """Return the path of a TOML file with the number of the line of a key, if it is known."""
    pattern = re.compile(rf"[ \t\[]*[\"']?{re.escape(key)}[\"']?[ \t]*[=.\]]")
    lines = enumerate(text.splitlines(), start=1)
    number = next((number for number, line in lines if pattern.match(line)), None)
    return path if number is None else f"{path} line {number}"


def is_utf8(text: str) -> bool:
    """Return whether a text has no lone surrogates."""
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


_SHOWN_CHARS = 80


def _not_text(path: str, got: str) -> UsageError:
    return UsageError(
        "the file is not text", path=path, expected="UTF-8", got=got, hint="save the file as UTF-8"
    )
