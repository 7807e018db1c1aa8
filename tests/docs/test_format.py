"""The examples in docs/reference/on-disk-format.md, read by the described readers."""

import re
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from pipelines.report import Report
from records.format.edits import RelabelledRecord, RemovedRecord
from records.format.index import Reject, ShardSummary
from records.format.manifest import Generation, decode_manifest, encode_manifest
from records.format.skipped import REASONS, Reason, SkippedFile
from records.generations import Provenance
from records.storage import open_storage
from records.strict_json import encode_canonical
from tests.datasets import DatasetBuilder, edit_manifest, make_sources

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "on-disk-format.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- example: (.+?) -->\n```json\n(.*?)```", PAGE, re.DOTALL))


def test_format_page_manifest_example_is_canonical() -> None:
    content = EXAMPLES["dataset.json"].encode()
    assert encode_manifest(decode_manifest(content, path="dataset.json")) == content


def test_format_page_lines_check_the_digest_of_a_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [lines] = re.findall(r"```python\n(import hashlib\n.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    DatasetBuilder(open_storage("data")).build({"train": [make_sources(2)]})
    exec(lines, {})
    edit_manifest(tmp_path / "data", lambda fields: fields["settings"].update(seed=7))
    exec(lines, {})
    manifest = tmp_path / "data" / "dataset.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"seed": 7', b'"seed": 8'))
    with pytest.raises(AssertionError):
        exec(lines, {})


def test_format_page_shard_info_example_is_decoded() -> None:
    facts = msgspec.json.decode(EXAMPLES["shard facts"], type=ShardSummary)
    assert facts.records == sum(facts.class_records.values())


def test_format_page_rejects_example_is_decoded() -> None:
    reject = msgspec.json.decode(EXAMPLES["rejects.jsonl"], type=Reject)
    assert reject.reason == "truncated"


def test_format_page_removal_examples_are_decoded() -> None:
    generation = msgspec.json.decode(EXAMPLES["generation"], type=Generation)
    removed = msgspec.json.decode(EXAMPLES["removed.jsonl"], type=RemovedRecord)
    assert encode_canonical(generation).decode() == EXAMPLES["generation"]
    assert generation.removed == 1
    assert (removed.key, removed.class_name) == ("rose/0003.jpg", "rose")
    relabelled = msgspec.json.decode(EXAMPLES["relabelled.jsonl"], type=RelabelledRecord)
    assert relabelled.old_classes != relabelled.new_classes


def test_format_page_skipped_example_is_decoded() -> None:
    file = msgspec.json.decode(EXAMPLES["skipped.jsonl"], type=SkippedFile)
    assert (file.outcome, file.detail) == REASONS[cast("Reason", file.reason)]


def test_format_page_lists_every_reason_of_skipped_files() -> None:
    table = re.findall(r"^\| `(skipped|excluded)` \| `([a-z-]+)` \|", PAGE, re.MULTILINE)
    assert table == [(outcome, reason) for reason, (outcome, _) in REASONS.items()]


@pytest.mark.parametrize(
    ("name", "kind"), [("report.json", Report), ("provenance.json", Provenance)]
)
def test_format_page_example_is_canonical(name: str, kind: type[Any]) -> None:
    content = EXAMPLES[name].encode()
    found = msgspec.json.decode(content, type=kind)
    assert msgspec.json.format(msgspec.json.encode(found)) + b"\n" == content
