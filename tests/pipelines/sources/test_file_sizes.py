"""Files that are too large, that grow, or that are no images: read within limits."""

from __future__ import annotations

import os
import resource
import sys
from typing import TYPE_CHECKING

import pytest

from pipelines.sources.reader import LocalFiles, UnreadableError, read_file
from records.images.large_file import LARGE_FILE_BYTES
from tests.pipelines.pictures import PICTURE, make_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pipelines.conftest import Convert

SPARSE_BYTES = 3 << 30


def make_sparse(path: Path, size_bytes: int, head: bytes = b"") -> None:
    path.write_bytes(head)
    os.truncate(path, size_bytes)


def test_convert_file_over_max_file_mb_is_rejected_without_reading(
    convert: Convert, source: Path
) -> None:
    for number, size_bytes in enumerate((1_000_001, SPARSE_BYTES, 10 << 40)):
        make_sparse(source / "cat" / f"sparse{number}.png", size_bytes, PICTURE)
    report = convert(max_file_mb=1)
    assert report.rejects_by_reason == {"too-large": 3}
    assert report.counts.stored == 21


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count otherwise")
@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"", "corrupt"),
        (PICTURE, "too-large"),
        (b"\xff\xd8\xff\xe0\0\4ab", "too-large"),
        (b"II*\0\x08\0\0\0\0\0", "too-large"),
        (b"\0\0\0\x18ftypavif", "too-large"),
    ],
)
def test_read_file_large_file_with_a_small_image_is_not_read(
    tmp_path: Path, head: bytes, reason: str
) -> None:
    make_sparse(tmp_path / "a", SPARSE_BYTES, head)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnreadableError) as caught:
        read_file(LocalFiles(os.fsencode(tmp_path)), b"a", None, SPARSE_BYTES)
    assert caught.value.rejection.reason == reason
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown << 10 < LARGE_FILE_BYTES


@pytest.mark.parametrize("change", [-1, 1, SPARSE_BYTES])
def test_read_file_of_another_size_than_listed_is_unreadable(tmp_path: Path, change: int) -> None:
    make_sparse(tmp_path / "a", 1000 + change)
    with pytest.raises(UnreadableError, match="it changed after it was listed: 1,000 bytes then"):
        read_file(LocalFiles(os.fsencode(tmp_path)), b"a", None, 1000)


def test_convert_large_file_of_zeros_is_rejected_with_its_key(
    convert: Convert, source: Path
) -> None:
    make_file(source, "cat/zeros.png", b"")
    os.truncate(source / "cat" / "zeros.png", 900_000_000)
    report = convert()
    assert report.rejects_by_reason == {"corrupt": 1}
