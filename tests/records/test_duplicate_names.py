"""JSON of others in which an object has a name twice: refused everywhere, with the line."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.errors import UsageError
from records.format.label_map import parse_labels
from records.strict_json import decode_json

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(values, st.sampled_from([None, 2]))
def test_decode_json_distinct_names_decode_as_json_says(value: Any, indent: int | None) -> None:
    content = json.dumps(value, indent=indent, ensure_ascii=False)
    try:
        expected = msgspec.json.decode(content)
    except msgspec.DecodeError:  # a number over the limits of msgspec
        return
    assert decode_json(content.encode(), Any) == expected


@given(st.integers(0, 5), st.integers(0, 3), st.sampled_from(['"b{"', '"\\u0062{"']), values)
def test_decode_json_name_twice_at_any_depth_is_refused_with_its_line(
    depth: int, lines: int, again: str, value: Any
) -> None:
    inner = f'{{"b{{": {json.dumps(value)},{chr(10) * lines} {again} : 1}}'
    content = '[{"a": ' * depth + inner + "}]" * depth
    place = f"line {lines + 1}: " if lines else "^"
    with pytest.raises(msgspec.DecodeError, match=f"{place}an object has the name"):
        decode_json(content.encode(), object)


def test_label_map_name_twice_is_refused_with_its_line() -> None:
    with pytest.raises(UsageError, match="line 3: an object has the name 'cat' twice"):
        parse_labels(b'{"cat": 0,\n"dog": 1,\n"cat": 2}', path="labels.json")
