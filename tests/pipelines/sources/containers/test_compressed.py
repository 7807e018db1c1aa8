"""Compressed archives: copies in the work folder, damage and bombs."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.clean import clean
from pipelines.options import ConvertOptions
from pipelines.sources import list_sources
from pipelines.sources.reader import LocalFiles
from pipelines.writing import shard
from records.errors import CorruptDataError
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import PICTURE, content_of, make_picture
from tests.pipelines.sources.containers.forms import files_of, tar_bytes

FILES = [(f"{name}/{n}.png", make_picture(n)) for name in ("cat", "dog") for n in range(9)]
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}
each_suffix = pytest.mark.parametrize("suffix", COMPRESS)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "photos.tar.gz"
    path.write_bytes(gzip.compress(tar_bytes(FILES)))
    return path


def test_compressed_copy_is_in_the_work_folder_until_the_run_ends(
    convert: Convert, archive: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyError

    monkeypatch.setattr(shard, "convert_images", stop)
    with pytest.raises(KeyError):
        convert(source=str(archive), processes=1)
    (copy,) = (output / ".shardmill" / "unpacked").iterdir()
    assert copy.read_bytes() == gzip.decompress(archive.read_bytes())
    copy.write_bytes(b"damaged by a power failure")
    with pytest.raises(KeyError):
        convert(source=str(archive), processes=1)
    assert copy.read_bytes() == gzip.decompress(archive.read_bytes())
    monkeypatch.undo()
    convert(source=str(archive))
    assert not (output / ".shardmill").exists()


def test_compressed_copy_is_removed_by_clean(
    convert: Convert, archive: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard, "convert_images", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        convert(source=str(archive), processes=1)
    clean(str(output))
    assert not list(output.rglob("*"))


def test_compressed_damaged_copy_rejects_images(
    convert: Convert, archive: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that a power failure has damaged gives no other image."""
    real = shard.convert_images

    def damage(*given: Any) -> None:
        (copy,) = (output / ".shardmill" / "unpacked").iterdir()
        content = copy.read_bytes()
        at = content.index(PICTURE[-20:]) if PICTURE in content else 600
        copy.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        real(*given)

    monkeypatch.setattr(shard, "convert_images", damage)
    report = convert(source=str(archive), processes=1, shards=1)
    assert (report.counts.stored, report.counts.rejected) == (len(FILES) - 1, 1)


def test_compressed_dry_run_writes_nothing(convert: Convert, archive: Path, output: Path) -> None:
    assert convert(source=str(archive), dry_run=True).counts.stored == len(FILES)
    assert not output.exists()


@each_suffix
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.95])
def test_compressed_archive_cut_short_is_one_error(
    tmp_path: Path, suffix: str, fraction: float
) -> None:
    files = [(name, make_picture(n, size=(60, 60))) for n, (name, _) in enumerate(FILES)]
    content = COMPRESS[suffix](tar_bytes(files))
    path = tmp_path / f"a.tar.{suffix}"
    path.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(CorruptDataError, match="damaged"):
        list_sources(ConvertOptions(source=str(path), output=""))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["bz2", "xz"])
def test_compressed_bomb_is_one_error_in_bounded_memory(
    convert: Convert, tmp_path: Path, suffix: str
) -> None:
    """A member of 300 MB of zeros, and zeros after the end of an archive."""
    bomb = bytes(300_000_000)
    for number, content in enumerate((tar_bytes([("cat/x.png", bomb)]), tar_bytes(FILES) + bomb)):
        path = tmp_path / f"{number}.tar.{suffix}"
        path.write_bytes(COMPRESS[suffix](content))
        with pytest.raises(CorruptDataError, match="expands more than 1000-fold"):
            convert(source=str(path))


def test_xz_that_needs_much_memory_is_one_error(tmp_path: Path) -> None:
    """The header asks for a dictionary of 1.5 GiB, which a reader has to allocate."""
    content = bytearray(lzma.compress(tar_bytes(FILES)))
    header = content[12:24]
    assert header[2:4] == b"\x21\x01"  # LZMA2, and one byte for its dictionary
    header[4] = 37
    header[8:12] = zlib.crc32(header[:8]).to_bytes(4, "little")
    content[12:24] = header
    (tmp_path / "a.tar.xz").write_bytes(bytes(content))
    with pytest.raises(CorruptDataError, match="Memory usage limit"):
        list_sources(ConvertOptions(source=str(tmp_path / "a.tar.xz"), output=""))


def test_compressed_archive_is_read_only_once_for_files_that_are_no_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their first bytes are kept: no file is read from the beginning of the archive again."""
    files = [*FILES, *((f"cat/{n}.dat", b"\x89PNG\r\n\x1a\n" + bytes(n)) for n in range(200))]
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(tar_bytes(files)))
    reads: list[int] = []
    real = LocalFiles.read_range

    def count(self: LocalFiles, *given: Any, **options: Any) -> bytes:
        reads.append(1)
        return real(self, *given, **options)

    monkeypatch.setattr(LocalFiles, "read_range", count)
    found = list_sources(ConvertOptions(source=str(path), output=""))
    assert len(found.images) == len(files)
    assert len(reads) < 5


def test_compressed_append_reads_no_known_image_again(
    convert: Convert, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photos.tar.gz"
    path.write_bytes(gzip.compress(tar_bytes(files_of(source))))
    convert(source=str(path))
    more = [("cat/a.png", PICTURE), *files_of(source)]
    path.write_bytes(gzip.compress(tar_bytes(more)))
    monkeypatch.setattr("pipelines.incremental.hashing.read_image", lambda *_: 1 / 0)
    report = convert(source=str(path), append=True)
    assert (report.counts.stored, report.modified, report.deleted) == (1, (), ())


def test_compressed_metadata_next_to_images_is_read(convert: Convert, tmp_path: Path) -> None:
    rows = "\n".join(f"{n}.png,{'cat' if n % 2 else 'dog'}" for n in range(4))
    files = [(f"{n}.png", make_picture(n)) for n in range(4)]
    content = tar_bytes([("metadata.csv", f"file_name,label\n{rows}\n".encode()), *files])
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(content))
    convert(source=str(tmp_path / "a.tar.gz"))
    assert (tmp_path / "data" / "labels.txt").read_text() == "0:cat\n1:dog\n"
    assert content_of(tmp_path / "data")
