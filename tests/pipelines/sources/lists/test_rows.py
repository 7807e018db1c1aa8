from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.options import ConvertOptions
from pipelines.sources.lists.columns import choose_columns
from pipelines.sources.lists.open import open_list
from pipelines.sources.lists.rows import ListRow, read_rows
from records.errors import InputNotFoundError, UsageError
from tests.processor_time import processor_seconds


def read(
    tmp_path: Path, content: bytes, *, name: str = "list.csv", allow_url: bool = False
) -> list[ListRow]:
    (tmp_path / name).write_bytes(content)
    return read_list(str(tmp_path / name), str(tmp_path / "photos"), allow_url=allow_url)


def read_list(path: str, source: str, *, allow_url: bool = False) -> list[ListRow]:
    options = ConvertOptions(source=source, output="", allow_url=allow_url)
    table = open_list(path, options)
    rows = read_rows(table, choose_columns(table, options), options)
    return [msgspec.structs.replace(row, number=0) for row in rows]


def image(key: bytes, label: str = "cat", **given: object) -> ListRow:
    fields = {"url": None, "split": None, "group": None, **given}
    labels = (label,) if label else ()
    return ListRow(number=0, key=key, labels=labels, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"path,label\na.png,cat\n", [image(b"a.png")]),
        (b"path,label\r\na.png,cat\r\n", [image(b"a.png")]),
        (b"\xef\xbb\xbfpath,label\na.png,cat", [image(b"a.png")]),
        (b"label,path\ncat,a.png\n\n", [image(b"a.png")]),
        (b'path,label\n"a,b.png",cat\n', [image(b"a,b.png")]),
        (b'path,label\n"a\nb.png",cat\n', [image(b"a\nb.png")]),
        (b"path,label\ncaf\xe9.png,cat\n", [image(b"caf\xe9.png")]),
        (b"path,label\n-rf.png,cat\n", [image(b"-rf.png")]),
        (b"path,label\n./x/../a.png,cat\n", [image(b"a.png")]),
        (b"path,label\na.png,\n", [image(b"a.png", "")]),
        (b"path,label\na.png\n", [image(b"a.png", "")]),
        (
            b"path,label,split,group\na.png,cat,VAL,p1\nb.png,cat,,\n",
            [image(b"a.png", split="validation", group="p1"), image(b"b.png")],
        ),
    ],
)
def test_read_rows_csv_variants_are_parsed(
    tmp_path: Path, content: bytes, expected: list[ListRow]
) -> None:
    assert read(tmp_path, content) == expected


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_read_rows_json_lines_are_parsed(tmp_path: Path, start: bytes) -> None:
    rows = [
        {"path": "a.png", "label": "cat", "split": "test", "group": "g"},
        {"path": "b.png", "label": 7, "group": None},
        {"path": "é\n.png", "label": None},
    ]
    content = start + "\r\n\n".join(map(json.dumps, rows)).encode()
    assert read(tmp_path, content, name="list.jsonl") == [
        image(b"a.png", split="test", group="g"),
        image(b"b.png", "7"),
        image("é\n.png".encode(), ""),
    ]


def test_read_rows_absolute_path_in_source_becomes_relative_key(tmp_path: Path) -> None:
    content = b"path,label\n" + os.fsencode(tmp_path) + b"/photos/x/a.png,cat\n"
    assert read(tmp_path, content) == [image(b"x/a.png")]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "no column of the list is known to be the path"),
        (b"path,label,path\na.png,cat,b.png\n", "two columns of the list have the same name"),
        (b"path,label,class\na.png,cat,cat\n", "pass --label-column label or --label-column class"),
        (b"path,file,label\na.png,a.png,cat\n", "pass --path-column path or --path-column file"),
        (b"weight,height\n3,4\n", "no column of the list is known to be the path"),
        (b"path,weight,height\na.png,3,4\n", "no column of the list is known to be the label"),
        (b"a.png,b.png\n", "several columns of the list can be the path"),
        (b"a.png,cat,small\n", "no column of the list is known to be the label"),
        (b"path,label\na,b.png,cat\n", "line 2: a row has more fields"),
        (b'path,label\n"a.png,cat\n', "line 2: the list is not valid CSV"),
        (b'"path"x,label\na.png,cat\n', "line 1: the list is not valid CSV"),
        (b"path,label\n" + b"x" * 200_000 + b",cat\n", "line 2: the list is not valid CSV"),
        (b"path,label\n,cat\n", "line 2: a row has no path"),
        (b"label,path\ncat\n", "line 2: a row has no path"),
        (b"path,label\na\0.png,cat\n", "zero byte"),
        (b"path,label\n../a.png,cat\n", "leads out of the source"),
        (b"path,label\nx/../../a.png,cat\n", "leads out of the source"),
        (b"path,label\n..,cat\n", "leads out of the source"),
        (b"path,label\n.,cat\n", "leads out of the source"),
        (b"path,label\n/etc/passwd,cat\n", "leads out of the source"),
        (b"path,label\n//etc/passwd,cat\n", "leads out of the source"),
        (b"path,label,split\na.png,cat,late\n", "line 2: a row has an unknown split"),
        (b"path,label\nC:\\photos\\a.png,cat\n", "an absolute path of Windows"),
        (b"path,label\na.png,caf\xe9\n", "line 2: a label is not valid UTF-8"),
        (b"path,label\nhttps://example.org/a.png,cat\n", "contains a URL"),
        (b"path,label\ns3://bucket/a.png,cat\n", "--allow-url"),
    ],
)
def test_read_rows_invalid_csv_is_refused_with_reason_and_path(
    tmp_path: Path, content: bytes, word: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, content)
    assert word in str(caught.value)
    assert str(tmp_path / "list.csv") in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        b"[1]",
        b"{",
        b'{"path": "a.png", "label": ["cat", "dog"]}',
        b'{"path": "a.png", "label": {"name": "cat"}}',
        b'{"path": {"a": 1}, "label": "cat"}',
        b'{"label": "cat"}',
        b'{"path": "a.png", "path": "b.png", "label": "cat"}',
        b'{"path": "a.png", "label": "\xff"}',
        b'{"path": "\\ud800.png", "label": "cat"}',
        b'{"path": "a\\u0000.png", "label": "cat"}',
        b'{"path": "a.png", "label": "\\udcff"}',
        b'{"path": null, "label": "cat"}',
    ],
)
def test_read_rows_invalid_json_line_is_refused_with_line_number(
    tmp_path: Path, line: bytes
) -> None:
    with pytest.raises(UsageError, match=r"line 3"):
        read(tmp_path, b'{"path": "0.png", "label": "cat"}\n\n' + line, name="list.jsonl")


def test_read_rows_supported_urls_are_accepted(tmp_path: Path) -> None:
    urls = ["memory://x/a.png", "file:///x/a.png", "s3://b/a.png", "gs://b/a b.png", "az://c/a.png"]
    content = "\n".join(["path,label", *(f"{url},cat" for url in urls)]).encode()
    found = read(tmp_path, content, allow_url=True)
    assert [(row.url, row.key) for row in found] == [(url, url.encode()) for url in urls]


@pytest.mark.parametrize("allow_url", [False, True])
@pytest.mark.parametrize("scheme", ["memory", "s3", "gs", "az"])
def test_read_rows_urls_below_the_source_are_paths(
    tmp_path: Path, scheme: str, allow_url: bool
) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"path,label\n{scheme}://b/photos/x/a.png,cat\n")
    (row,) = read_list(str(path), f"{scheme}://b/photos", allow_url=allow_url)
    assert (row.key, row.url) == (b"x/a.png", None)


@pytest.mark.parametrize("allow_url", [False, True])
def test_read_rows_file_urls_below_the_source_are_decoded(tmp_path: Path, allow_url: bool) -> None:
    path = tmp_path / "list.csv"
    path.write_text("path,label\nfile:///my%20photos/x/a%20%23b.png,cat\n")
    (row,) = read_list(str(path), "file:///my%20photos", allow_url=allow_url)
    assert (row.key, row.url) == (b"x/a #b.png", None)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/a.png",
        "https://example.org/a.png",
        "ftp://example.org/a.png",
        "simplecache::s3://b/a.png",
        "s3://b/x::file:///etc/passwd",
        "zip://a.png::file:///x.zip",
        "s3://key:secret@b/a.png",
        "http://[broken",
        "S3://b/a.png",
    ],
)
def test_read_rows_unsupported_urls_are_refused_without_credentials(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, f"path,label\n{url},cat\n".encode(), allow_url=True)
    assert "line 2" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_read_rows_file_not_found_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="file not found"):
        read_list(str(tmp_path / "none.csv"), str(tmp_path))


def test_read_rows_list_at_url_is_parsed(memory: Any) -> None:
    memory.pipe_file("/lists/l.csv", b"path,label\na.png,cat\n")
    assert read_list("memory://lists/l.csv", "/x") == [image(b"a.png")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.csv", b"path,label\n" + b"a/" * 5_000_000 + b",cat\n"),
        ("list.csv", b'path,label\n"' + b"a.png,cat\n" * 1_000_000),
        ("list.csv", b"path,label\n" + b"a/" * 50_000 + b",cat\n"),
        ("list.csv", b"path,label\na.png," + b"," * 10_000_000),
        ("list.csv", b"p" * 10_000_000),
        ("list.json", b'["' + b'a.png","' * 1_000_000 + b'"]'),
        ("list.json", b"[" + b"{}," * 1_000_000 + b"{}]"),
        ("list.jsonl", b'{"path":"' + b"../" * 3_000_000 + b'","label":"cat"}'),
        ("list.jsonl", b'{"path":"' + b"a/" * 3_000_000 + b'","label":"cat"}'),
        ("list.jsonl", b'{"path":"s3://' + b"a/" * 3_000_000 + b'","label":"cat"}'),
        ("list.jsonl", b'{"path":"a","label":"b","split":"' + b"t" * 10_000_000 + b'"}'),
        ("list.jsonl", b'{"' + b"k" * 10_000_000 + b'":"b"}'),
        ("list.jsonl", b"[" * 10_000_000),
        ("list.jsonl", b'{"path":' + b"{" * 10_000_000),
    ],
)
def test_read_rows_long_line_gives_short_message_in_linear_time(
    tmp_path: Path, name: str, content: bytes
) -> None:
    def parse() -> None:
        with pytest.raises(UsageError) as caught:
            read(tmp_path, content, name=name)
        assert len(str(caught.value)) < 2000

    assert processor_seconds(parse) < 10


@pytest.mark.parametrize("column", ["path", "label", "split", "group"])
@pytest.mark.parametrize("code", ["\\ud800", "\\udcff", "\\ud83dx"])
def test_read_rows_json_lines_lone_surrogate_is_named_with_its_line(
    tmp_path: Path, column: str, code: str
) -> None:
    good = {"path": "a.png", "label": "cat", "split": "test", "group": "g"}
    bad = json.dumps({**good, "path": "b.png", column: "CODE"}).replace("CODE", f"x{code}")
    content = f"{json.dumps(good)}\n{bad}\n".encode()
    with pytest.raises(UsageError, match=r"line 2.*half of a surrogate pair") as caught:
        read(tmp_path, content, name="list.jsonl")
    assert f"got {code[:6]} " in str(caught.value)
