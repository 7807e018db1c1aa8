"""Each damage to a dataset is exactly the one finding; reading goes on after it."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import records
from records.errors import InputNotFoundError, StorageError
from records.format.example import decode_example, encode_example
from records.format.index import Reject, encode_index, new_row_table, read_index
from records.format.manifest import decode_manifest
from records.format.shard import read_shard
from records.format.tfrecord import frame_bytes
from records.images import ImageOptions
from records.integrity.findings import MEANINGS, Finding
from records.storage import open_storage
from records.verification.dataset import check_files, find_duplicate_keys
from tests import datasets
from tests.datasets import (
    LABELS,
    DatasetBuilder,
    Source,
    encode_picture,
    make_sources,
    replace_index,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SKIPPED_LINE = b'{"key": "a", "outcome": "skipped", "reason": "hidden", "detail": ""}\n'
FIRST = "train-00000-of-00002.tfrecord"
SECOND = "train-00001-of-00002.tfrecord"
FIRST_INDEX = "index/train-00000-of-00002.parquet"


@pytest.fixture
def folder(build_dataset: Callable[..., Path]) -> Path:
    return build_dataset()


def findings(folder: Path, *, decode: bool = False) -> list[Finding]:
    return list(records.verify(folder, decode))


def test_verify_intact_dataset_has_no_findings(folder: Path) -> None:
    assert findings(folder) == []
    assert findings(folder, decode=True) == []
    checked = list(check_files(folder))
    assert sum(item.records for item in checked) == 17
    shards = folder.glob("*.tfrecord")
    assert sum(item.size_bytes for item in checked) == sum(p.stat().st_size for p in shards)


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest, and what is derived from it, so that only the change is wrong."""
    from records.format.tfds_metadata import tfds_files

    datasets.edit_manifest(folder, change)
    content = (folder / "dataset.json").read_bytes()
    for name, derived in tfds_files(decode_manifest(content, path="")).items():
        (folder / name).write_bytes(derived)


def rewrite_shard(
    folder: Path, change: Callable[[list[dict[str, Any]]], object], *, reseal: bool = False
) -> None:
    """Write the first shard again with other records, CRCs right; `reseal`: the manifest too."""
    import xxhash

    storage = open_storage(folder)
    examples = [dict(decode_example(frame.payload)) for frame in read_shard(storage, FIRST)]
    change(examples)
    content = b"".join(frame_bytes(encode_example(example)) for example in examples)
    (folder / FIRST).write_bytes(content)
    if reseal:
        digest = xxhash.xxh3_128_hexdigest(content)
        assert (
            len(content)
            == decode_manifest((folder / "dataset.json").read_bytes(), path="")
            .splits["train"]
            .shards[0]
            .bytes
        )
        edit_manifest(folder, lambda m: m["splits"]["train"]["shards"][0].update(xxh3_128=digest))
        index = read_index(storage, FIRST_INDEX)
        facts = msgspec.structs.replace(index.summary, xxh3_128=digest)
        replace_index(folder, FIRST, encode_index(facts, new_row_table(index.rows())))


def rewrite_index(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    content = io.BytesIO()
    pq.write_table(change(pq.read_table(folder / FIRST_INDEX)), content)
    replace_index(folder, FIRST, content.getvalue())


def set_column(table: pa.Table, name: str, record: int, value: object) -> pa.Table:
    values = table[name].to_pylist()
    values[record] = value
    place = table.schema.get_field_index(name)
    return table.set_column(place, name, pa.array(values, table.schema.field(name).type))


class Case(NamedTuple):
    """A damage, and the finding it must be: kind, file, record."""

    damage: Callable[[Path], object]
    kind: str
    file: str
    record: int | None = None


def swap_images(examples: list[dict[str, Any]]) -> None:
    """Two records of other sizes change places."""
    examples[0], examples[1] = examples[1], examples[0]


def set_feature(name: str, value: list[Any], record: int = 2) -> Callable[[Path], None]:
    return lambda folder: rewrite_shard(
        folder, lambda examples: examples[record].update({name: value})
    )


def truncate(folder: Path) -> None:
    content = (folder / FIRST).read_bytes()
    (folder / FIRST).write_bytes(content[:-10])


def drop_last(folder: Path) -> None:
    rewrite_shard(folder, lambda examples: examples.pop())


def append_bytes(folder: Path) -> None:
    with (folder / FIRST).open("ab") as stream:
        stream.write(b"something")


def exchange_classes(content: dict[str, Any]) -> None:
    counts = content["splits"]["train"]["class_records"]
    counts[0], counts[1] = counts[1] + 1, counts[0] - 1


CASES = {
    "a bit of a payload": Case(lambda f: flip(f / FIRST, 40), "payload-checksum", FIRST, 0),
    "a bit of a length": Case(lambda f: flip(f / FIRST, 0), "length-checksum", FIRST, 0),
    "the end cut off": Case(truncate, "truncated", FIRST, 4),
    "bytes behind the end": Case(append_bytes, "truncated", FIRST, 5),
    "a record less": Case(drop_last, "record-count", FIRST),
    "a shard gone": Case(lambda f: (f / FIRST).unlink(), "missing", FIRST),
    "an index gone": Case(lambda f: (f / FIRST_INDEX).unlink(), "missing", FIRST_INDEX),
    "an index cut": Case(
        lambda f: (f / FIRST_INDEX).write_bytes((f / FIRST_INDEX).read_bytes()[:-9]),
        "index-damaged",
        FIRST_INDEX,
    ),
    "an index of another shard": Case(
        lambda f: (f / FIRST_INDEX).write_bytes(
            (f / "index" / "test-00000-of-00001.parquet").read_bytes()
        ),
        "index",
        FIRST_INDEX,
    ),
    "a row less": Case(
        lambda f: rewrite_index(f, lambda table: table.slice(0, 4)), "index", FIRST_INDEX
    ),
    "another width in the index": Case(
        lambda f: rewrite_index(f, lambda table: set_column(table, "width", 3, 999)),
        "index",
        FIRST,
        3,
    ),
    "another offset in the index": Case(
        lambda f: rewrite_index(f, lambda table: set_column(table, "offset", 3, 1)),
        "index",
        FIRST,
        3,
    ),
    "another hash in the index": Case(
        lambda f: rewrite_index(f, lambda table: set_column(table, "source_xxh3_128", 1, "0" * 32)),
        "index",
        FIRST,
        1,
    ),
    "a label that is not there": Case(set_feature("image/class/label", [3]), "label", FIRST, 2),
    "a negative label": Case(set_feature("image/class/label", [-1]), "label", FIRST, 2),
    "a label of another class": Case(set_feature("image/class/label", [0]), "text", FIRST, 2),
    "a name of another class": Case(set_feature("image/class/text", [b"dog"]), "text", FIRST, 2),
    "another key": Case(set_feature("image/filename", [b"cat/x.png"]), "index", FIRST, 2),
    "a feature without value": Case(set_feature("image/width", []), "feature", FIRST, 2),
    "a record that is no Example": Case(
        lambda f: (f / FIRST).write_bytes(frame_bytes(b"\xff") + (f / FIRST).read_bytes()),
        "feature",
        FIRST,
        0,
    ),
    "a shard the manifest does not name": Case(
        lambda f: (f / "train-00002-of-00003.tfrecord").write_bytes(b""),
        "unexpected",
        "train-00002-of-00003.tfrecord",
    ),
    "an index the manifest does not name": Case(
        lambda f: (f / "index" / "x.parquet").write_bytes(b""), "unexpected", "index/x.parquet"
    ),
    "no label map": Case(lambda f: (f / "labels.txt").unlink(), "missing", "labels.txt"),
    "another label map": Case(
        lambda f: (f / "labels.txt").write_text("0:cat\n1:dog\n"), "labels", "labels.txt"
    ),
    "no file for TFDS": Case(lambda f: (f / "features.json").unlink(), "missing", "features.json"),
    "another file for TFDS": Case(
        lambda f: (f / "dataset_info.json").write_text("{}"), "tfds", "dataset_info.json"
    ),
    "another Croissant file": Case(
        lambda f: (f / "croissant.json").write_text("{}"), "croissant", "croissant.json"
    ),
    "no rejects": Case(lambda f: (f / "rejects.jsonl").unlink(), "missing", "rejects.jsonl"),
    "rejects that are no JSON": Case(
        lambda f: (f / "rejects.jsonl").write_text("{"), "rejects", "rejects.jsonl"
    ),
    "a reject too many": Case(
        lambda f: (f / "rejects.jsonl").write_bytes(
            msgspec.json.encode(Reject("a", None, "empty", "", 0))
        ),
        "rejects",
        "rejects.jsonl",
    ),
    "skipped files that are no JSON": Case(
        lambda f: (f / "skipped.jsonl").write_text("{"), "skipped", "skipped.jsonl"
    ),
    "a skipped file too many": Case(
        lambda f: (f / "skipped.jsonl").write_bytes(SKIPPED_LINE), "skipped", "skipped.jsonl"
    ),
    "a skipped file without an end": Case(
        lambda f: (f / "skipped.jsonl").write_bytes(b" " * (1 << 20)), "skipped", "skipped.jsonl"
    ),
    "other class counts": Case(
        lambda f: edit_manifest(f, exchange_classes), "class-count", "dataset.json"
    ),
    "no manifest in the manifest": Case(
        lambda f: (f / "dataset.json").write_text("{}"), "manifest", "dataset.json"
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_verify_each_damage_is_its_one_finding(folder: Path, case: Case) -> None:
    case.damage(folder)
    found = findings(folder, decode=True)
    expected = (case.kind, case.file, case.record)
    assert {(item.kind, item.file, item.record) for item in found[:1]} == {expected}
    assert len(found) == (2 if case.kind == "class-count" else 1), found
    line = str(found[0])
    assert line.startswith(f"{case.kind}  {case.file}")
    assert "\n" not in line


def test_verify_shard_with_different_hash_is_checksum_finding(folder: Path) -> None:
    """Valid records, as many and as long as before, of which the index cannot know better."""
    manifest = decode_manifest((folder / "dataset.json").read_bytes(), path="")
    content = (folder / FIRST).read_bytes()
    digest = "0" * 32
    edit_manifest(folder, lambda m: m["splits"]["train"]["shards"][0].update(xxh3_128=digest))
    index = read_index(open_storage(folder), FIRST_INDEX)
    facts = msgspec.structs.replace(index.summary, xxh3_128=digest)
    replace_index(folder, FIRST, encode_index(facts, new_row_table(index.rows())))
    assert manifest.splits["train"].shards[0].bytes == len(content)
    assert [(item.kind, item.file) for item in findings(folder)] == [("checksum", FIRST)]


def test_verify_image_damaged_before_framing_is_found_only_with_decode(folder: Path) -> None:
    """An image that is damaged before it was framed: every checksum is right."""

    def damage(examples: list[dict[str, Any]]) -> None:
        image = bytearray(examples[0]["image/encoded"][0])
        image[len(image) // 2] ^= 255
        examples[0]["image/encoded"] = [bytes(image)]

    rewrite_shard(folder, damage, reseal=True)
    index = read_index(open_storage(folder), FIRST_INDEX)
    rows = [row._replace(changes=("x",)) for row in index.rows()]
    replace_index(folder, FIRST, encode_index(index.summary, new_row_table(rows)))
    assert findings(folder) == []
    assert [(item.kind, item.record) for item in findings(folder, decode=True)] == [("image", 0)]


def test_verify_duplicate_key_is_a_finding_with_first_location(tmp_path: Path) -> None:
    sources = [make_sources(3), make_sources(2)]
    DatasetBuilder(open_storage(tmp_path)).build({"train": sources})
    found = findings(tmp_path)
    assert [(item.kind, item.file, item.record, item.key) for item in found] == [
        ("duplicate-key", SECOND, 0, "cat/0.png"),
        ("duplicate-key", SECOND, 1, "dog/1.jpeg"),
    ]
    assert f"{FIRST} record 0" in found[0].detail


@pytest.mark.parametrize("change", ["one byte more", "one byte less", "one bit", "gone"])
def test_verify_any_change_of_any_file_is_a_finding_of_this_file(folder: Path, change: str) -> None:
    names = [str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()]
    names.remove("dataset.json")
    assert len(names) > 8
    for name in names:
        file, content = folder / name, (folder / name).read_bytes()
        if change == "gone":
            file.unlink()
        else:
            flipped = bytearray(content or b"x")
            flipped[len(flipped) // 2] ^= 1
            changed = {"one byte more": content + b"\n", "one byte less": content[:-1]}
            file.write_bytes(changed.get(change, bytes(flipped)))
        if not content and change == "one byte less":
            continue
        assert name in {item.file for item in findings(folder)}, name
        file.write_bytes(content)
    assert findings(folder) == []


def test_verify_several_damages_are_reported_in_order(folder: Path) -> None:
    flip(folder / FIRST, 40)
    truncate(folder)
    flip(folder / SECOND, 0)
    (folder / "labels.txt").unlink()
    assert [(item.kind, item.file) for item in findings(folder)] == [
        ("missing", "labels.txt"),
        ("payload-checksum", FIRST),
        ("truncated", FIRST),
        ("length-checksum", SECOND),
    ]


def test_verify_other_plan_digest_in_manifest_is_a_finding_about_each_index(folder: Path) -> None:
    edit_manifest(folder, lambda m: m["generations"][0].update(plan_digest="0" * 32))
    found = findings(folder)
    assert {item.kind for item in found} == {"index"}
    assert {item.file for item in found} == {
        path.relative_to(folder).as_posix() for path in (folder / "index").iterdir()
    }
    assert all("plan digest" in item.detail for item in found)


def test_verify_damaged_manifest_still_checks_shards(folder: Path) -> None:
    (folder / "dataset.json").write_text("{}")
    flip(folder / SECOND, 40)
    kinds = [(item.kind, item.file) for item in findings(folder)]
    assert kinds == [("manifest", "dataset.json"), ("payload-checksum", SECOND)]


@pytest.mark.slow  # some of the flips are in test_every_damage
def test_verify_any_bit_flip_in_shard_is_one_finding(tmp_path: Path) -> None:
    source = Source(b"cat/1.png", 0, encode_picture(1, size=(2, 2)))
    DatasetBuilder(open_storage(tmp_path)).build({"train": [[source]]})
    path = tmp_path / "train-00000-of-00001.tfrecord"
    content = path.read_bytes()
    for place in range(0, len(content) * 8, 5):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        assert len(findings(tmp_path)) == 1


def test_verify_decode_every_stored_format_has_no_findings(tmp_path: Path) -> None:
    for store in ("jpeg", "png", "raw"):
        folder = tmp_path / store
        images = ImageOptions(store=store, resize=(6, 5))
        DatasetBuilder(open_storage(folder), images=images).build({"train": [make_sources(4)]})
        assert findings(folder, decode=True) == []


def test_verify_read_error_is_unreadable_finding(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from records.storage.local import LocalStorage

    whole = LocalStorage.open

    def open_or_fail(self: LocalStorage, name: str) -> Any:
        if name == FIRST:
            raise StorageError("cannot be read", path=name, got="Input/output error")
        return whole(self, name)

    monkeypatch.setattr(LocalStorage, "open", open_or_fail)
    assert [(item.kind, item.file) for item in findings(folder)] == [("unreadable", FIRST)]


def test_verify_dataset_with_rejects_has_no_findings(tmp_path: Path) -> None:
    rejects = (Reject("cat/0.png", "cat", "empty", "no bytes", 0),)
    DatasetBuilder(open_storage(tmp_path), rejects=rejects).build({"train": [make_sources(2)]})
    assert findings(tmp_path) == []


class TestAnybodysFile:
    def test_verify_single_shard_checks_its_records(self, folder: Path) -> None:
        assert findings(folder / FIRST) == []
        flip(folder / FIRST, 40)
        assert [item.kind for item in findings(folder / FIRST)] == ["payload-checksum"]

    def test_verify_manifest_path_checks_whole_dataset(self, folder: Path) -> None:
        (folder / "labels.txt").unlink()
        assert [item.kind for item in findings(folder / "dataset.json")] == ["missing"]

    @pytest.mark.parametrize("kind", ["", "GZIP", "ZLIB"])
    def test_verify_tensorflow_file_has_no_findings(self, tmp_path: Path, kind: str) -> None:
        import tensorflow as tf

        path = tmp_path / "a.tfrecord"
        with tf.io.TFRecordWriter(str(path), options=kind) as writer:
            writer.write(encode_example({"a": [1]}))
            writer.write(encode_example({}))
        assert findings(path) == []

    def test_verify_payload_that_is_not_an_example_is_a_finding(self, tmp_path: Path) -> None:
        path = tmp_path / "a.tfrecord"
        path.write_bytes(frame_bytes(encode_example({"a": [1]})) + frame_bytes(b"text"))
        found = findings(path)
        assert [(item.kind, item.record, item.offset) for item in found] == [("example", 1, 30)]

    def test_verify_truncated_gzip_is_compression_finding(self, tmp_path: Path) -> None:
        path = tmp_path / "a.tfrecord.gz"
        path.write_bytes(gzip.compress(frame_bytes(encode_example({"a": [1]})))[:-5])
        assert [item.kind for item in findings(path)] == ["compression"]

    def test_verify_empty_file_is_a_finding(self, tmp_path: Path) -> None:
        (tmp_path / "a.tfrecord").write_bytes(b"")
        assert [item.kind for item in findings(tmp_path / "a.tfrecord")] == ["empty"]

    def test_verify_text_file_is_length_checksum_finding(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("some text that is no TFRecord file\n" * 9)
        assert [item.kind for item in findings(tmp_path / "a.txt")] == ["length-checksum"]

    def test_verify_missing_path_raises_input_not_found(self, tmp_path: Path) -> None:
        with pytest.raises(InputNotFoundError):
            findings(tmp_path / "no")


def test_finding_kinds_all_have_a_meaning() -> None:
    from typing import get_args

    from records.integrity.findings import FindingKind

    assert set(MEANINGS) == set(get_args(FindingKind))


def test_finding_text_control_characters_are_escaped() -> None:
    line = str(Finding("text", "a", "got '\x1b[31m'", key="a\nb"))
    assert line.isprintable()
    assert LABELS


def test_find_duplicate_keys_of_shards_without_records_finds_nothing() -> None:
    no_keys = pa.chunked_array([pa.array([], pa.string())])
    assert list(find_duplicate_keys({"a": no_keys, "b": no_keys})) == []
