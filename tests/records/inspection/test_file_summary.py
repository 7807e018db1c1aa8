"""What `inspect` says of any TFRecord file."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from records.format.example import encode_example
from records.format.tfrecord import frame_bytes
from records.inspection.feature_stats import Range, format_value
from records.inspection.file_summary import FileSummary, summarize_file
from records.inspection.text import format_file
from records.storage import open_storage
from tests.datasets import encode_picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from records.format.example import FeatureValue


def describe(tmp_path: Path, payloads: list[bytes], **options: int) -> FileSummary:
    content = b"".join(map(frame_bytes, payloads))
    (tmp_path / "a.tfrecord").write_bytes(content)
    return summarize_file(open_storage(tmp_path), "a.tfrecord", **options)


def test_file_summary_reports_kind_range_and_examples_per_feature(tmp_path: Path) -> None:
    examples: list[dict[str, FeatureValue]] = [
        {"jpg": [encode_picture(1, size=(8, 6), kind="JPEG")], "score": [0.5, 1.5], "name": [b"a"]},
        {"jpg": [encode_picture(2, size=(10, 5))], "score": [], "id": [7], "bits": [b"\xff\0"]},
    ]
    found = describe(tmp_path, [encode_example(example) for example in examples])
    by_name = {feature.name: feature for feature in found.features}
    assert list(by_name) == ["bits", "id", "jpg", "name", "score"]
    assert found.payloads == {"Example": 2}
    assert by_name["jpg"].images == {"jpeg": 1, "png": 1}
    assert by_name["jpg"].width_px == Range(8, 10)
    assert by_name["jpg"].height_px == Range(5, 6)
    assert by_name["jpg"].examples == ()
    assert (by_name["score"].kind, by_name["score"].values) == ("float", Range(0, 2))
    assert by_name["score"].range == Range(0.5, 1.5)
    assert (by_name["id"].kind, by_name["id"].records) == ("int64", 1)
    assert by_name["bits"].examples == ("0xff00",)
    assert by_name["name"].examples == ('"a"',)


def test_file_summary_shardmill_shard_reports_all_features(
    build_dataset: Callable[..., Path],
) -> None:
    folder = build_dataset()
    found = summarize_file(open_storage(folder), "train-00000-of-00002.tfrecord")
    assert (found.records, found.complete, len(found.features)) == (5, True, 8)


@pytest.mark.parametrize(("limit", "complete"), [(1, False), (2, False), (3, True), (9, True)])
def test_file_summary_limit_stops_reading_early(tmp_path: Path, limit: int, complete: bool) -> None:
    found = describe(tmp_path, [encode_example({"a": [1]})] * 3, limit=limit)
    assert (found.records, found.complete) == (min(limit, 3), complete)


def test_file_summary_sequence_examples_report_feature_lists(tmp_path: Path) -> None:
    import tensorflow as tf

    sequence = tf.train.SequenceExample()
    sequence.context.feature["id"].int64_list.value.append(7)
    for step in (b"a", b"b"):
        sequence.feature_lists.feature_list["word"].feature.add().bytes_list.value.append(step)
    found = describe(tmp_path, [sequence.SerializeToString()])
    assert found.payloads == {"SequenceExample": 1}
    assert [(feature.name, feature.values) for feature in found.features] == [
        ("id", Range(1, 1)),
        ("word[]", Range(2, 2)),
    ]


def test_file_summary_raw_payload_with_damage_reports_both(tmp_path: Path) -> None:
    found = describe(tmp_path, [b"text"])
    assert found.payloads == {"bytes": 1}
    path = tmp_path / "a.tfrecord"
    path.write_bytes(path.read_bytes() + b"and more")
    found = summarize_file(open_storage(tmp_path), "a.tfrecord")
    assert (found.records, found.complete) == (1, False)
    assert "ends inside the header of a record" in str(found.damage)
    assert format_file(found)[-1].startswith("damaged: ")


def test_file_summary_gzip_reports_compression_and_stored_size(tmp_path: Path) -> None:
    content = gzip.compress(frame_bytes(encode_example({"a": [1]})))
    (tmp_path / "a.gz").write_bytes(content)
    found = summarize_file(open_storage(tmp_path), "a.gz")
    assert (found.compression, found.records, found.size_bytes) == ("gzip", 1, len(content))
    assert format_file(found)[0] == f"a.gz: gzip, {len(content)} B, 1 record"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"", '""'),
        ("é".encode(), '"é"'),
        (b"\x1b[31m", r'"\x1b[31m"'),
        (b"\xff", "0xff"),
        (b"x" * 100, '"' + "x" * 23 + '…"'),
        (b"\xff" * 100, "0x" + "f" * 23 + "…"),
    ],
)
def test_feature_value_bytes_are_escaped_and_shortened(value: bytes, shown: str) -> None:
    assert format_value(value) == shown


def test_file_summary_control_characters_in_names_are_escaped(tmp_path: Path) -> None:
    found = describe(tmp_path, [encode_example({"a\x1b[2J\nb": [1]})])
    assert all(line.isprintable() for line in format_file(found))
