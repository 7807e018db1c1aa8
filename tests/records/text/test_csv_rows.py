"""CSV rows: no cell is a formula, and every row reads back."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.text.csv_rows import encode_csv_row

SIGNS = ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"]
cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def read_row(content: bytes, delimiter: str = ",") -> list[str]:
    text = io.StringIO(content.decode(), newline="")
    (row,) = csv.reader(text, strict=True, delimiter=delimiter)
    return row


formulas = st.tuples(st.sampled_from(SIGNS), cells).map("".join)


@given(st.lists(cells | formulas, min_size=2))
def test_csv_row_any_text_round_trips_and_no_cell_is_a_formula(row: list[str]) -> None:
    found = read_row(encode_csv_row(row))
    assert [cell.removeprefix("'") for cell in found] == row
    for cell in found:
        assert not cell.startswith(tuple(SIGNS)) or float(cell) is not None


@pytest.mark.parametrize("sign", SIGNS)
def test_csv_row_formula_gets_an_apostrophe(sign: str) -> None:
    assert read_row(encode_csv_row([f"{sign}cmd|x.jpg", "rose"])) == [f"'{sign}cmd|x.jpg", "rose"]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_csv_row_other_delimiter_of_a_spreadsheet_splits_no_text(delimiter: str) -> None:
    row = encode_csv_row([f"a{delimiter}=cmd.jpg"])
    assert read_row(row, delimiter) == [f"a{delimiter}=cmd.jpg"]


def test_csv_row_numbers_and_missing_values_are_written_as_they_are() -> None:
    row = encode_csv_row([-1, -0.5, "-3.25e-05", "+7", None, ""])
    assert row == b"-1,-0.5,-3.25e-05,+7,,\r\n"
