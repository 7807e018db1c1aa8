"""TFRecord files and metadata that TensorFlow Datasets (TFDS) reads.

The records are those of a conversion, so that raw images are PNG files, and adopted records have
the features of converted ones. All images of a dataset are in one folder of TFDS, whatever their
generations are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO

from records.exchange.image_file import image_file
from records.format.columns import encode_columns
from records.format.tfds_metadata import tfds_files
from records.format.tfrecord import frame_bytes
from records.images import NormalizedImage
from records.images.features import encode_image_example
from records.text.keys import key_from_text

if TYPE_CHECKING:
    from records.dataset import Record
    from records.format.columns import Columns
    from records.format.manifest import Manifest


def write(file: BinaryIO, records: Iterable[Record], manifest: Manifest) -> None:
    """Write a TFRecord file; see `FormatModule.write`."""
    file.writelines(
        frame_bytes(encode_record(record, manifest.settings.columns)) for record in records
    )


def side_files(manifest: Manifest) -> dict[str, bytes]:
    """Return the metadata of TFDS; see `FormatModule.side_files`."""
    return tfds_files(manifest)


def encode_record(record: Record, columns: Columns) -> bytes:
    """Return the serialized Example of a record, as a conversion of its image would write it."""
    content, kind = image_file(record)
    image = NormalizedImage(content, kind, record.width, record.height, record.channels, ())
    return encode_image_example(
        image,
        key=key_from_text(record.key),
        labels=record.labels,
        class_names=record.class_names,
        columns=encode_columns(columns, [record.columns[column.name] for column in columns]),
    ).payload
