"""WebDataset shards: TAR archives with three files per image.

    daisy/17.jpg    the image, at the path of its key
    daisy/17.cls    the number of its class, unless an image has any number of classes
    daisy/17.json   the key, the labels, the names of the classes, and the columns

WebDataset takes the path up to the first dot of the last part as the name of a sample, and ends the
sample at the next name. So a name has no dot there, and differs from the previous one. WebDataset
skips files in folders such as `__meta__`, and files whose path has a line break and dots: `%5F`
replaces the first underscore, and `%0A` the line break.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from records.exchange.fields import field_names, present_value
from records.exchange.image_file import image_file, key_as_path
from records.text.keys import key_from_text

if TYPE_CHECKING:
    from records.dataset import Record
    from records.exchange.fields import FieldNames
    from records.exchange.image_file import ImageFormat
    from records.format.manifest import Manifest

_EXTENSIONS: dict[ImageFormat, tuple[bytes, ...]] = {"jpeg": (b"jpg", b"jpeg"), "png": (b"png",)}
"""The extensions that WebDataset decodes, the usual one first."""
_DOT = b"%2E"
_UNDERSCORE = b"%5F"
_SKIPPED_FOLDER = re.compile(rb"__[^/]*__/")


def write(file: BinaryIO, records: Iterable[Record], manifest: Manifest) -> None:
    """Write a TAR archive; see `FormatModule.write`."""
    names = field_names(manifest)
    is_multi_label = manifest.settings.is_multi_label
    previous = b""
    with tarfile.open(
        fileobj=file, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8",
        errors="surrogateescape",
    ) as archive:  # fmt: skip
        for record in records:
            content, kind = image_file(record)
            previous, extension = sample_name(key_from_text(record.key), kind, previous)
            _add(archive, previous + b"." + extension, content)
            if not is_multi_label:
                _add(archive, previous + b".cls", b"%d" % record.labels[0])
            _add(archive, previous + b".json", _fields(record, names, is_multi_label))


def side_files(manifest: Manifest) -> dict[str, bytes]:
    """Return no files: WebDataset needs none; see `FormatModule.side_files`."""
    del manifest
    return {}


def sample_name(key: bytes, kind: ImageFormat, previous: bytes) -> tuple[bytes, bytes]:
    """Return the name of the sample of an image, and the extension of its file.

    Together they are the key, unless it has another extension, more dots in its last part, parts
    that are not names, or the name of the previous sample. Then `%2E` replaces dots. In names that
    WebDataset skips, `%5F` or `%0A` replaces a character.

    Args:
        key: the key of the image.
        kind: the format of the file.
        previous: the name of the previous sample.
    """
    # A key is a path or a URL; the protocol of a URL is removed.
    path = key.replace(b"\0", b"%00").replace(b"\n", b"%0A").rpartition(b"://")[2]
    parts = path.split(b"/")
    *folders, base = [part for part in parts if part] or [b"image"]
    folder = b"".join(
        (part.replace(b".", _DOT) if part in {b".", b".."} else part) + b"/" for part in folders
    )
    if _SKIPPED_FOLDER.match(folder):
        folder = folder.replace(b"_", _UNDERSCORE, 1)
    stem, _, extension = base.rpartition(b".")
    is_plain = stem and b"." not in stem and extension.lower() in _EXTENSIONS[kind]
    if is_plain and folder + stem != previous:
        return folder + stem, extension
    name = folder + base.replace(b".", _DOT)
    return (name + b"~2" if name == previous else name), _EXTENSIONS[kind][0]


def _fields(record: Record, names: FieldNames, is_multi_label: bool) -> bytes:
    label: object = list(record.labels)
    class_name: object = list(record.class_names)
    if not is_multi_label:
        label, class_name = record.labels[0], record.class_names[0]
    return msgspec.json.encode(
        {
            names.key: key_as_path(record),
            names.label: label,
            names.class_name: class_name,
            **{name: present_value(value) for name, value in record.columns.items()},
        }
    )


def _add(archive: tarfile.TarFile, name: bytes, content: bytes) -> None:
    # The owner, the time and the permissions are those of every archive.
    info = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))
