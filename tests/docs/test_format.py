"""The examples in docs/reference/on-disk-format.md, read by the described readers."""

import re
from pathlib import Path
from typing import cast

import msgspec

from pipelines.report import Report
from records.format.index import Reject, ShardSummary
from records.format.manifest import decode_manifest, encode_manifest
from records.format.skipped import REASONS, Reason, SkippedFile

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "on-disk-format.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- example: (.+?) -->\n```json\n(.*?)```", PAGE, re.DOTALL))


def test_format_page_manifest_example_is_canonical() -> None:
    content = EXAMPLES["dataset.json"].encode()
    assert encode_manifest(decode_manifest(content, path="dataset.json")) == content


def test_format_page_shard_info_example_is_decoded() -> None:
    facts = msgspec.json.decode(EXAMPLES["shard facts"], type=ShardSummary)
    assert facts.records == sum(facts.class_records.values())


def test_format_page_rejects_example_is_decoded() -> None:
    reject = msgspec.json.decode(EXAMPLES["rejects.jsonl"], type=Reject)
    assert reject.reason == "truncated"


def test_format_page_skipped_example_is_decoded() -> None:
    file = msgspec.json.decode(EXAMPLES["skipped.jsonl"], type=SkippedFile)
    assert (file.outcome, file.detail) == REASONS[cast("Reason", file.reason)]


def test_format_page_lists_every_reason_of_skipped_files() -> None:
    table = re.findall(r"^\| `(skipped|excluded)` \| `([a-z-]+)` \|", PAGE, re.MULTILINE)
    assert table == [(outcome, reason) for reason, (outcome, _) in REASONS.items()]


def test_format_page_report_example_is_canonical() -> None:
    content = EXAMPLES["report.json"].encode()
    report = msgspec.json.decode(content, type=Report)
    assert msgspec.json.format(msgspec.json.encode(report)) + b"\n" == content
