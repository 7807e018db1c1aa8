"""Descriptions are checked key by key, and errors name the line."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from records.errors import InputNotFoundError, UsageError
from records.format.metadata.description import (
    MAX_FILE_BYTES,
    Description,
    parse_description,
    read_description,
)
from records.storage import open_storage


def test_parse_description_returns_every_key() -> None:
    content = """
    name = "Flowers"
    description = '''
    Photos of *flowers*.
    '''
    license = "CC-BY-4.0"
    citation = "@misc{flowers}"
    creators = ["Ada Lovelace", "Élan Vital"]
    publisher = "Royal Society"
    url = "https://example.org/flowers"
    keywords = ["flowers"]
    languages = ["en"]
    published = 2026-03-01
    limitations = "Few tulips."
    """
    found = parse_description(content.encode(), path="it.toml")
    assert all(getattr(found, name) for name in Description.__struct_fields__)
    assert (found.creators[1], found.published) == ("Élan Vital", date(2026, 3, 1))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('licence = "MIT"', "it.toml line 2: unknown key .* got licence; write `license`"),
        ('x.y = "MIT"', "it.toml line 2: unknown key .*; remove the key"),
        ("name = 3", "it.toml line 2: `name` has an invalid value, got expected `str`, got `int`"),
        ('creators = "Ada"', "line 2: `creators` has an invalid value, got expected `array`"),
        ('keywords = ["a", 1]', "line 2: `keywords` has an invalid value"),
        ("[license]\na = 1", "line 2: `license` has an invalid value, got expected `str`"),
        ("published = 2026-03-01T00:00:00", "line 2: `published` has an invalid value"),
        (f'name = "{"x" * 1001}"', "line 2: `name` has an invalid value"),
        ('name = """a\nb"""', "`name` has a control character, expected printable text in one"),
        ('description = "a\\u0007"', "`description` has a control character"),
        ('citation = "\\n "', "line 2: `citation` is blank"),
        ('url = "ftp://example.org"', "`url` is not a URL, expected https://…, got ftp://"),
        ("name", "it.toml: the description is not valid TOML"),
        ("a = " + "[" * 9999, "it.toml: the description is not valid TOML"),
        ("a = " + "1" * 9999, "it.toml: the description is not valid TOML"),
        ("#" * MAX_FILE_BYTES, "it.toml: the description is too large"),
    ],
)
def test_parse_description_invalid_is_an_error_with_its_place(line: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_description(f"# of flowers\n{line}\n".encode(), path="it.toml")


def test_read_description_of_missing_file_is_an_error() -> None:
    with pytest.raises(InputNotFoundError, match="description not found"):
        read_description("missing.toml")


@pytest.mark.parametrize("place", ["{}/large.toml", "memory://{}/large.toml"])
def test_read_description_of_huge_file_reads_only_its_start(tmp_path: Path, place: str) -> None:
    path = place.format(tmp_path)
    if place.startswith("memory"):
        open_storage(path.rpartition("/")[0]).replace("large.toml", bytes(MAX_FILE_BYTES + 1))
    else:
        with Path(path).open("wb") as file:
            file.truncate(1 << 42)  # it needs no space, and no memory has room for it
    with pytest.raises(UsageError, match="the description is too large, expected at most 262,144"):
        read_description(path)
