"""One object from a local file, whole or not at all, and only where there is none of its name.

Up to 256 MiB it is one request. A larger file goes in parts, of which nothing is seen until the
last request, which has the same condition.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO

from records.errors import ShardmillError
from records.storage.s3.bucket import Bucket

ONE_REQUEST_BYTES = 256 << 20
PART_BYTES = 64 << 20
_MOST_PARTS = 10_000
IF_ABSENT = {"IfNoneMatch": "*"}


def upload(bucket: Bucket, key: str, stream: BinaryIO, path: str) -> None:
    """Create an object.

    Args:
        bucket: where.
        key: under which name.
        stream: its content, seekable.
        path: its URL, to show.

    Raises:
        ConditionFailedError: the name is taken.
        FileNotFoundError: the upload is over, by an answer that was lost, or by somebody else.
        ShardmillError: as `Bucket.ask`.
    """
    size_bytes = stream.seek(0, os.SEEK_END)
    if size_bytes <= ONE_REQUEST_BYTES:
        bucket.ask("put_object", path, Key=key, Body=stream, **IF_ABSENT)
        return
    begun = bucket.ask("create_multipart_upload", path, Key=key)
    place = {"Key": key, "UploadId": begun["UploadId"]}
    try:
        parts = list(_upload_parts(bucket, place, stream, size_bytes, path))
        whole = {"MultipartUpload": {"Parts": parts}, **IF_ABSENT}
        bucket.ask("complete_multipart_upload", path, **place, **whole)
    except BaseException:
        # The parts of a process that was killed stay until the bucket's own rule removes them.
        with suppress(ShardmillError, FileNotFoundError):
            bucket.ask("abort_multipart_upload", path, **place)
        raise


def _upload_parts(
    bucket: Bucket, place: dict[str, str], stream: BinaryIO, size_bytes: int, path: str
) -> Iterator[dict[str, Any]]:
    part_bytes = max(PART_BYTES, -(-size_bytes // _MOST_PARTS))
    stream.seek(0)
    number = 0
    while block := stream.read(part_bytes):
        number += 1
        answer = bucket.ask("upload_part", path, **place, PartNumber=number, Body=block)
        yield {"PartNumber": number, "ETag": answer["ETag"]}
