"""Check of a single TFRecord file, from any program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.errors import CorruptDataError, StorageError
from records.format.example import parse_payload
from records.integrity.compressed_parts import open_until_damage
from records.integrity.findings import FileCheck, Finding, empty_file
from records.integrity.resilient_reader import read_skipping_damage

if TYPE_CHECKING:
    from records.format.tfrecord import Frame
    from records.storage import Storage


def check_tfrecord(storage: Storage, name: str) -> FileCheck:
    """Check every frame of a file, and that each record is an Example or a SequenceExample.

    The file may be compressed with GZIP or ZLIB. If the file cannot be read, this is a finding.
    """
    checked = FileCheck(name)
    try:
        facts = storage.stat(name)
        checked.size_bytes = facts.size_bytes if facts is not None else 0
        with storage.open(name) as stream:
            for number, item in enumerate(read_skipping_damage(open_until_damage(stream), name)):
                _check_item(item, number, checked)
        if not checked.records and not checked.findings:
            checked.findings.append(empty_file(name))
    except (CorruptDataError, StorageError, OSError) as error:
        checked.findings.append(Finding("unreadable", name, str(error)))
    return checked


def _check_item(item: Frame | Finding, number: int, checked: FileCheck) -> None:
    if isinstance(item, Finding):
        checked.findings.append(item)
        return
    checked.records += 1
    if parse_payload(item.payload).kind == "bytes":
        detail = "the record contains no tf.train.Example and no tf.train.SequenceExample"
        checked.findings.append(Finding("example", checked.file, detail, number, item.offset))
