"""Credentials in URLs: absent from the output of every command that reads a dataset."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import shardmill as sm
from records.errors import InputNotFoundError, ShardmillError
from shardmill.cli import shardmill
from shardmill.interrupted import resume_hint
from tests.pipelines.pictures import make_folders

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "hunter2"
COMMANDS = (
    ("verify",), ("stats",), ("quality", "--processes=1"), ("inspect",), ("log",), ("files",),
    ("remove", "--where=width > 9999"), ("rollback",), ("prune", "--older-than=0"),
)  # fmt: skip


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of a dataset, with a password."""
    url = f"memory://ada:{SECRET}@{uuid.uuid4().hex}/data"
    sm.convert(make_folders(tmp_path_factory.mktemp("photos"), cat=3, dog=3), url)
    return url


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_command_shows_no_password_of_a_url(url: str, command: tuple[str, ...]) -> None:
    for options in ((), ("--json",)):
        for location in (url, f"{url}-missing"):
            name, *rest = command
            ended = CliRunner().invoke(shardmill, [name, location, *rest, *options])
            assert ended.output or ended.exception
            assert SECRET not in f"{ended.output}{ended.stderr}"
            if isinstance(ended.exception, ShardmillError):
                assert SECRET not in f"{ended.exception}{ended.exception.to_dict()}"


@pytest.mark.parametrize("option", ["list", "labels", "exclude", "describe"])
def test_file_of_an_option_that_is_missing_is_named_without_password(
    tmp_path: Path, option: str
) -> None:
    source = make_folders(tmp_path / "photos", cat=2, dog=2)
    missing = f"memory://ada:{SECRET}@{uuid.uuid4().hex}/missing.csv"
    with pytest.raises(InputNotFoundError) as found:
        sm.convert(source, tmp_path / "data", **{option: missing})  # type: ignore[arg-type]
    assert "missing.csv" in str(found.value)
    assert SECRET not in str(found.value)


def test_hint_to_resume_has_no_password() -> None:
    hint = resume_hint(["convert", f"https://ada:{SECRET}@host/photos", "data/"])
    assert hint == "resume with: shardmill convert https://host/photos data/"


@pytest.mark.parametrize("location", ["https://[host/data", "file://[host/nothing"])
def test_url_that_is_invalid_is_an_error_of_one_line(location: str) -> None:
    with pytest.raises(ShardmillError) as found:
        list(sm.verify(location))
    assert "\n" not in str(found.value)
