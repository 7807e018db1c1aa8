"""One TFRecord file of anybody's: its frames, and that each holds an Example."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.compression import open_records
from records.errors import DamagedError, StorageError
from records.framing import FrameError
from records.reports.finding import Checked, Finding, find_in
from records.reports.payload import parse_payload
from records.reports.scan import scan_frames

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
            for number, item in enumerate(scan_frames(open_records(stream))):
                _check_item(item, number, checked)
    except DamagedError as error:
        checked.findings.append(find_in(error, "compression", name))
    except (StorageError, OSError) as error:
        checked.findings.append(Finding("unreadable", name, str(error)))
    return checked


def _check_item(item: Frame | FrameError, number: int, checked: Checked) -> None:
    if isinstance(item, FrameError):
        checked.findings.append(find_in(item, "truncated", checked.file))
        return
    checked.records += 1
    if parse_payload(item.payload).kind == "bytes":
        detail = "the record is not a tf.train.Example"
        checked.findings.append(Finding("example", checked.file, detail, number, item.offset))
