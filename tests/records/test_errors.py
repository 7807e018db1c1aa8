"""Messages of errors are short, whatever is in them."""

from __future__ import annotations

import json
import logging
import pickle
from typing import Any

import pytest

from records.errors import CorruptDataError, ShardmillError, UsageError
from records.integrity.findings import finding_from_error
from records.runtime.logging import log_line, set_log_format

_MAX_CHARACTERS = 4000
FIELDS = ("what", "path", "shard", "expected", "got", "hint")


@pytest.mark.parametrize("field", [*FIELDS, "all"])
@pytest.mark.parametrize("char", ["a", "é", "\x00", "\U0010ffff", "中", "\n", "/", "\udc80"])
def test_error_any_field_of_any_length_gives_short_message(field: str, char: str) -> None:
    fields: dict[str, Any] = dict.fromkeys(FIELDS if field == "all" else [field], char * 100_000)
    error = ShardmillError(fields.pop("what", "a problem"), record=3, offset=7, **fields)
    assert len(str(error)) < _MAX_CHARACTERS
    assert not {"\x00", "\n"} & set(str(error))
    assert len(json.dumps(error.to_dict())) < 12 * _MAX_CHARACTERS
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_error_long_path_keeps_its_start_and_end() -> None:
    text = str(UsageError("problem", path="/start/" + "x" * 10_000 + "/end.csv", got=5))
    assert text.startswith("/start/")
    assert "/end.csv (10,015 characters): problem, got 5" in text


def test_error_short_fields_are_unchanged() -> None:
    error = UsageError("problem", path="a.csv", record=2, expected=3, got="x" * 300, hint="do it")
    assert error.to_dict()["got"] == "x" * 300
    assert str(error) == f"a.csv record 2: problem, expected 3, got {'x' * 300}; do it"


def test_finding_of_any_error_is_short() -> None:
    error = CorruptDataError("w" * 10**6, expected="e" * 10**6, got="\0" * 10**6)
    finding = finding_from_error(error, "manifest", "f" * 10**6)
    assert len(str(finding)) < _MAX_CHARACTERS
    assert len(finding.detail) < _MAX_CHARACTERS


@pytest.mark.parametrize("form", ["text", "json"])
def test_log_line_of_any_length_is_short(form: str, capfd: pytest.CaptureFixture[str]) -> None:
    set_log_format(form)
    try:
        log_line("internal error: " + "\x1b" * 10**5, level=logging.ERROR)
    finally:
        set_log_format("text")
    assert len(capfd.readouterr().err) < 3 * _MAX_CHARACTERS


@pytest.mark.parametrize("place", ["e", "data", "dataset", "folder"])
def test_error_place_that_is_a_word_of_the_description_is_shown(place: str) -> None:
    assert str(UsageError("the dataset folder has no data", path=place)).startswith(f"{place}: ")
    assert str(UsageError("a/b.csv: no data", path="a/b.csv")) == "a/b.csv: no data"


def test_every_error_survives_pickling() -> None:
    import importlib
    import pkgutil

    import records

    for module in pkgutil.walk_packages(records.__path__, "records."):
        if ".s3" not in module.name:
            importlib.import_module(module.name)
    kinds = [ShardmillError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert len(kinds) > 10
    for kind in kinds:
        error = kind.__new__(kind, "the problem")
        error.__dict__.update(ShardmillError("the problem", path="a/b", record=3).__dict__)
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.args) == (kind, str(error), ("the problem",))
