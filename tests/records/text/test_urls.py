"""Credentials are removed from URLs, also from invalid ones."""

from __future__ import annotations

import pytest

from records.errors import UsageError
from records.text.urls import redact_location, redact_url, without_user


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://key:secret@bucket/a", "s3://bucket/a"),
        ("https://host/a?token=secret#x", "https://host/a"),
        ("gs://bucket/a b", "gs://bucket/a b"),
        ("/a/path?x", "/a/path?x"),
        ("zip://a::https://ada:secret@host/b.zip?c", "zip://a::https://host/b.zip"),
        ("https://ada:secret@[host/a", "https://[host/a"),
    ],
)
def test_redact_url_removes_credentials_and_query(url: str, shown: str) -> None:
    assert redact_url(url) == shown


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("s3://key:secret@bucket/a?b#c", "s3://bucket/a?b#c"),
        ("https://ada:secret@host/a?token=secret", "https://host/a"),
        ("a/b@c", "a/b@c"),
    ],
)
def test_redact_location_keeps_names_in_buckets(location: str, shown: str) -> None:
    assert redact_location(location) == shown


def test_without_user_changes_only_urls_in_a_text() -> None:
    text = "cannot open https://ada:secret@host/a: ask ada@host, see ftp://b@c"
    assert without_user(text) == "cannot open https://host/a: ask ada@host, see ftp://c"


def test_error_shows_no_credentials_in_any_field() -> None:
    url = "https://ada:secret@host/a"
    error = UsageError(f"no {url}", path=f"{url}?secret", expected=url, got=[url], hint=url)
    assert "secret" not in f"{error} {error.to_dict()}"
    assert str(error).startswith("https://host/a: no https://host/a, expected https://host/a")
