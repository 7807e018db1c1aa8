"""The examples in docs/reference/on-disk-format.md, read by the described readers."""

import re
from pathlib import Path

import msgspec

from pipelines.report import Report
from records.format.index import Reject, ShardSummary
from records.format.manifest import decode_manifest, encode_manifest

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


def test_format_page_report_example_is_canonical() -> None:
    content = EXAMPLES["report.json"].encode()
    report = msgspec.json.decode(content, type=Report)
    assert msgspec.json.format(msgspec.json.encode(report)) + b"\n" == content
