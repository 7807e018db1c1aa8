"""One TFRecord file of anybody's: its frames, and that each holds an Example."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.compression import open_until_damage
from records.errors import StorageError
from records.reports.damage import read_around_damage
from records.reports.finding import Checked, Finding
from records.reports.payload import parse_payload

if TYPE_CHECKING:
    from records.framing import Frame
    from records.storage import Storage


def check_tfrecord(storage: Storage, name: str) -> Checked:
    """Check a file as far as it can be read; GZIP and ZLIB files too."""
    checked = Checked(name)
    try:
        facts = storage.facts(name)
        checked.size_bytes = facts.size_bytes if facts is not None else 0
        with storage.open(name) as stream:
            for number, item in enumerate(read_around_damage(open_until_damage(stream), name)):
                _check_item(item, number, checked)
    except (StorageError, OSError) as error:
        checked.findings.append(Finding("unreadable", name, str(error)))
    return checked


def _check_item(item: Frame | Finding, number: int, checked: Checked) -> None:
    if isinstance(item, Finding):
        checked.findings.append(item)
        return
    checked.records += 1
    if parse_payload(item.payload).kind == "bytes":
        detail = "the record is not a tf.train.Example"
        checked.findings.append(Finding("example", checked.file, detail, number, item.offset))
