"""Images in the records of ArrayRecord files, as TensorFlow Datasets writes them.

Block headers interrupt the records, so images are read from an unpacked copy: all records without
anything between them.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.sources.containers.byte_window import ContainerBytes, copied, damaged
from pipelines.sources.containers.entry import Entry
from pipelines.sources.containers.formats.riegeli import read_records
from pipelines.sources.containers.formats.tfrecord import ExampleRecord, list_examples
from records.errors import CorruptDataError
from records.format.example import decode_example


def list_array_records(data: ContainerBytes) -> Iterator[Entry]:
    """Yield the images of an ArrayRecord file; offsets are those in `unpack_array_records`.

    Raises:
        CorruptDataError: the file is damaged, or a record is not an Example.
        UsageError: no feature has an image per record, or no feature has its class.
    """
    yield from list_examples(_examples(data), data)
    if data.copy is not None:
        data.copy.finish()


def unpack_array_records(data: ContainerBytes) -> Iterator[bytes]:
    """Yield the records of an ArrayRecord file. Raises as `list_array_records`."""
    return read_records(data)


def _examples(data: ContainerBytes) -> Iterator[ExampleRecord]:
    offset = 0
    for number, payload in enumerate(copied(read_records(data), data.copy)):
        try:
            features = decode_example(payload)
        except CorruptDataError as error:
            raise damaged(data, f"{error.what} (record {number})") from error
        yield ExampleRecord(offset, payload, features)
        offset += len(payload)
