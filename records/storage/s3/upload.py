"""Upload of a local file as a new, complete object.

A file of up to 256 MiB is uploaded in one request, which fails if the key exists. A larger file is
uploaded in parts; the parts are not visible until the last request, which fails if the key exists.
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
        bucket: the bucket of the object.
        key: the key of the object.
        stream: the content, a seekable stream.
        path: the URL of the object, for messages.

    Raises:
        ConditionFailedError: the key exists.
        FileNotFoundError: the upload in parts no longer exists: it was completed by a request whose
            response was lost, or another process ended it.
        ShardmillError: as `Bucket.request`.
    """
    size_bytes = stream.seek(0, os.SEEK_END)
    if size_bytes <= ONE_REQUEST_BYTES:
        bucket.request("put_object", path, Key=key, Body=stream, **IF_ABSENT)
        return
    started = bucket.request("create_multipart_upload", path, Key=key)
    target = {"Key": key, "UploadId": started["UploadId"]}
    try:
        parts = list(upload_parts(bucket, target, stream, size_bytes, path))
        whole = {"MultipartUpload": {"Parts": parts}, **IF_ABSENT}
        bucket.request("complete_multipart_upload", path, **target, **whole)
    except BaseException:
        # The parts of a killed process remain until a lifecycle rule of the bucket removes them.
        with suppress(ShardmillError, FileNotFoundError):
            bucket.request("abort_multipart_upload", path, **target)
        raise


def upload_parts(
    bucket: Bucket, target: dict[str, str], stream: BinaryIO, size_bytes: int, path: str
) -> Iterator[dict[str, Any]]:
    """Upload a stream in parts; yield the number and ETag of each part."""
    part_bytes = max(PART_BYTES, -(-size_bytes // _MOST_PARTS))
    stream.seek(0)
    number = 0
    while block := stream.read(part_bytes):
        number += 1
        response = bucket.request("upload_part", path, **target, PartNumber=number, Body=block)
        yield {"PartNumber": number, "ETag": response["ETag"]}
