"""Archives that are hostile, damaged or odd: rejects with their keys, or one clear error."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from pipelines.options import ConvertOptions
from pipelines.sources import Sources, list_sources
from records.dataset import open_dataset
from records.errors import CorruptDataError, InputNotFoundError, ShardmillError, UsageError
from records.storage.untrusted_file import MAX_KEY_BYTES
from tests.pipelines.conftest import Convert, manifest_of, rejects_of
from tests.pipelines.pictures import PICTURE, content_of, make_picture
from tests.pipelines.sources.containers.forms import parquet_bytes, tar_bytes, zip_bytes

GOOD = [(f"cat/{number}.png", make_picture(number)) for number in range(4)]
GOOD += [(f"dog/{number}.png", make_picture(10 + number)) for number in range(4)]
GOOD_KEYS = sorted(key.encode() for key, _ in GOOD)


def listed(path: Path, content: bytes) -> Sources:
    path.write_bytes(content)
    return list_sources(ConvertOptions(source=str(path), output=""))


def reasons(sources: Sources) -> dict[str, str]:
    return {reject.key: reject.detail for reject in sources.rejects}


def keys(sources: Sources) -> list[bytes]:
    return sorted(image.key for image in sources.images)


BAD_NAMES = {
    "../cat/x.png": "leads out",
    "cat/../../x.png": "leads out",
    "cat/..": "leads out",
    "/cat/x.png": "absolute",
    "C:/cat/x.png": "absolute",
    "cat//x.png": "empty",
    "cat/./x.png": "a dot",
    "cat/" + "x" * MAX_KEY_BYTES + ".png": "longer than",
}


@pytest.mark.parametrize("name", BAD_NAMES, ids=range(len(BAD_NAMES)))
@pytest.mark.parametrize("make", [tar_bytes, zip_bytes])
def test_container_bad_name_is_a_reject_and_nothing_is_written_elsewhere(
    convert: Convert,
    tmp_path: Path,
    name: str,
    make: Callable[[list[tuple[str, bytes]]], bytes],
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    path = place / f"photos.{'tar' if make is tar_bytes else 'zip'}"
    path.write_bytes(make([*GOOD, (name, PICTURE)]))
    before = content_of(tmp_path)
    convert(source=str(path), output=str(tmp_path / "data"))
    assert manifest_of(tmp_path / "data").splits["train"].records == len(GOOD)
    ((key, reason),) = rejects_of(tmp_path / "data").items()
    assert (key, reason) == (name[:MAX_KEY_BYTES], "unreadable")
    detail = reasons(list_sources(ConvertOptions(source=str(path), output="")))[key]
    assert BAD_NAMES[name] in detail
    assert {k: v for k, v in content_of(tmp_path).items() if not k.startswith("data/")} == before


TAR_TYPES = {
    tarfile.SYMTYPE: "symbolic link",
    tarfile.LNKTYPE: "hard link",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
    tarfile.FIFOTYPE: "named pipe",
    tarfile.GNUTYPE_SPARSE: "sparse",
    b"M": "another archive",
}


@pytest.mark.parametrize("kind", TAR_TYPES)
def test_tar_special_member_is_a_reject(tmp_path: Path, kind: bytes) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for number, (name, data) in enumerate(GOOD):
            if number == 3:
                info = tarfile.TarInfo("cat/odd.png")
                info.type, info.linkname = kind, "/etc/passwd"
                archive.addfile(info)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    found = listed(tmp_path / "a.tar", content.getvalue())
    assert keys(found) == GOOD_KEYS
    assert TAR_TYPES[kind] in reasons(found)["cat/odd.png"]


def test_tar_sparse_members_of_gnu_tar_are_rejects(tmp_path: Path) -> None:
    """All four ways in which GNU tar stores a file with a hole."""
    headers = [{"GNU.sparse.map": "0,1"}, {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}]
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for number, pax in enumerate(headers):
            info = tarfile.TarInfo(f"cat/{number}.png")
            info.pax_headers = pax
            archive.addfile(info)
    old = bytearray(tarfile.TarInfo("cat/9.png").tobuf(tarfile.GNU_FORMAT))
    old[156:157], old[482] = b"S", 1
    more = bytearray(1024)
    more[504] = 1
    fix_checksum(old)
    data = content.getvalue().rstrip(b"\0")
    data += b"\0" * (-len(data) % 512) + bytes(old) + bytes(more) + tar_bytes(GOOD)
    found = listed(tmp_path / "a.tar", data)
    assert sum("sparse" in reason for reason in reasons(found).values()) == 3
    assert keys(found) == GOOD_KEYS


def fix_checksum(header: bytearray) -> None:
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)


def zip_with(change: Callable[[zipfile.ZipInfo], None]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in GOOD:
            archive.writestr(name, data)
        info = zipfile.ZipInfo("cat/odd.png")
        archive.writestr(info, PICTURE)
        change(info)
    return content.getvalue()


def _set(**fields: int) -> Callable[[zipfile.ZipInfo], None]:
    def change(info: zipfile.ZipInfo) -> None:
        for name, value in fields.items():
            setattr(info, name, value)

    return change


ZIP_CHANGES = {
    "link": (_set(create_system=3, external_attr=0o120777 << 16), "symbolic link"),
    "device": (_set(create_system=3, external_attr=0o060777 << 16), "device"),
    "pipe": (_set(create_system=3, external_attr=0o010777 << 16), "named pipe"),
    "encrypted": (_set(flag_bits=1), "encrypted"),
    "masked": (_set(flag_bits=1 << 13), "encrypted"),
    "bzip2": (_set(compress_type=12), "method 12"),
    "too large": (_set(compress_type=8, file_size=1 << 30), "impossible"),
    "too small": (_set(file_size=10), "impossible"),
    "far away": (_set(header_offset=1 << 63), "impossible"),
    "endless": (_set(file_size=1 << 63, compress_size=1 << 63), "impossible"),
}


@pytest.mark.parametrize("change", ZIP_CHANGES)
def test_zip_odd_member_is_a_reject(tmp_path: Path, change: str) -> None:
    edit, reason = ZIP_CHANGES[change]
    found = listed(tmp_path / "a.zip", zip_with(edit))
    assert keys(found) == GOOD_KEYS
    assert reason in reasons(found)["cat/odd.png"]


@pytest.mark.parametrize(
    "fields",
    [{"CRC": 1}, {"header_offset": 1}, {"compress_type": 8, "file_size": 200}],
    ids=["checksum", "header", "data"],
)
def test_zip_member_that_is_not_what_the_directory_says_is_rejected_when_read(
    convert: Convert, tmp_path: Path, fields: dict[str, int]
) -> None:
    content = zip_with(_set(**fields))
    (tmp_path / "a.zip").write_bytes(content)
    if "header_offset" in fields:
        with pytest.raises(CorruptDataError, match="overlap"):
            convert(source=str(tmp_path / "a.zip"))
        return
    report = convert(source=str(tmp_path / "a.zip"))
    assert report.counts.stored == len(GOOD)
    assert rejects_of(tmp_path / "data") == {"cat/odd.png": "corrupt"}


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_container_repeated_member_counts_once_and_the_others_are_rejects(
    convert: Convert, tmp_path: Path, name: str
) -> None:
    make = zip_bytes if name.endswith("zip") else tar_bytes
    last = make_picture(77)
    with pytest.warns(UserWarning, match="Duplicate") if make is zip_bytes else nullcontext():
        (tmp_path / name).write_bytes(make([*GOOD, ("cat/0.png", last)]))
    convert(source=str(tmp_path / name))
    stored = {record.key: record.image for record in open_dataset(tmp_path / "data")["train"]}
    assert stored["cat/0.png"] == last
    assert rejects_of(tmp_path / "data") == {"cat/0.png": "unreadable"}


def test_zip_overlapping_members_are_one_error(tmp_path: Path) -> None:
    """A bomb of many members that share one compressed block."""
    content = zip_bytes([("cat/0.png", PICTURE * 50)], zipfile.ZIP_DEFLATED)
    directory = content.index(b"PK\1\2")
    entry = content[directory : content.index(b"PK\5\6")]
    many = b"".join(entry.replace(b"cat/0", b"cat/%d" % number) for number in range(9))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, len(many), directory, 0)
    with pytest.raises(CorruptDataError, match="members overlap"):
        listed(tmp_path / "a.zip", content[:directory] + many + end)


def test_zip_bomb_is_rejected_without_its_expansion(convert: Convert, tmp_path: Path) -> None:
    """A member of 200 MB of zeros that looks like an image of one pixel."""
    bomb = PICTURE + bytes(200_000_000)
    (tmp_path / "a.zip").write_bytes(
        zip_bytes([*GOOD, ("cat/bomb.png", bomb)], zipfile.ZIP_DEFLATED)
    )
    report = convert(source=str(tmp_path / "a.zip"))
    assert report.counts.stored == len(GOOD)
    assert rejects_of(tmp_path / "data") == {"cat/bomb.png": "too-large"}
    convert(source=str(tmp_path / "a.zip"), output=str(tmp_path / "b"), max_file_mb=1)
    assert "over 1 MB" in (tmp_path / "b" / "rejects.jsonl").read_text()


CUTS = [0.3, 0.6, 0.9]


@pytest.mark.parametrize("fraction", CUTS)
def test_zip_cut_short_is_one_error(tmp_path: Path, fraction: float) -> None:
    content = zip_bytes(GOOD)
    with pytest.raises(CorruptDataError, match="no central directory"):
        listed(tmp_path / "a.zip", content[: int(fraction * len(content))])


@pytest.mark.parametrize("fraction", CUTS)
def test_tar_cut_short_rejects_the_member_that_is_cut(tmp_path: Path, fraction: float) -> None:
    many = [(f"cat/{number}.png", make_picture(number, size=(99, 99))) for number in range(9)]
    content = tar_bytes(many)
    at = content.index(b"cat/3.png") + 512 + int(fraction * len(many[3][1]))
    found = listed(tmp_path / "a.tar", content[:at])
    assert keys(found) == [b"cat/0.png", b"cat/1.png", b"cat/2.png"]
    assert "cut short" in reasons(found)["cat/3.png"]


def test_tar_damaged_header_is_one_error_with_its_offset(tmp_path: Path) -> None:
    content = bytearray(tar_bytes(GOOD))
    at = content.index(b"dog/1.png")
    content[at] ^= 1
    with pytest.raises(CorruptDataError, match="not a header of TAR") as caught:
        listed(tmp_path / "a.tar", bytes(content))
    assert caught.value.offset == at


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("rest", [tar_bytes(GOOD[4:]), PICTURE, b""])
def test_tar_that_another_archive_follows_has_a_note(
    tmp_path: Path, compress: Callable[[bytes], bytes], rest: bytes
) -> None:
    name = "a.tar" if compress is bytes else "a.tgz"
    found = listed(tmp_path / name, compress(tar_bytes(GOOD[:4]) + rest))
    assert keys(found) == GOOD_KEYS[:4]
    is_noted = any("follows the end" in note and name in note for note in found.notes)
    assert is_noted == rest.startswith(b"dog/")


def test_tar_long_name_is_bounded(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = b"L", 1 << 30
    with pytest.raises(CorruptDataError, match="over 1 MiB"):
        listed(tmp_path / "a.tar", info.tobuf(tarfile.GNU_FORMAT) + tar_bytes(GOOD))


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    "name",
    ["a.zip", "a.tar", "a.tgz", "a.parquet", "a.npz", "a.tfrecord", "a.mds", "images-idx3-ubyte"],
)
def test_container_that_is_a_pointer_of_git_lfs_is_one_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(CorruptDataError, match=r"pointer of Git LFS.*git lfs pull"):
        listed(tmp_path / name, POINTER)


def test_containers_without_a_readable_member_show_the_first_reason(tmp_path: Path) -> None:
    rows = [(f"/home/me/{number}.png", None, number % 2) for number in range(4)]
    for name, content in (
        ("a.parquet", parquet_bytes(rows)),
        ("a.tar", tar_bytes([(f"../{number}.png", PICTURE) for number in range(4)])),
    ):
        with pytest.raises(InputNotFoundError, match=r"can be read, got 4 members, the first: "):
            listed(tmp_path / name, content)


def test_zip_names_of_windows_become_utf8_with_slashes(tmp_path: Path) -> None:
    content = zip_bytes([("cat@0.png", PICTURE), ("dogx.png", PICTURE)])
    for name, other in ((b"cat@0", b"cat\\0"), (b"dogx", b"dog\x94")):
        content = content.replace(name, other)
    path = tmp_path / "a.zip"
    # Windows is system 0.
    at = content.index(b"PK\1\2")
    content = content[: at + 5] + b"\0" + content[at + 6 :]
    (tmp_path / "l.csv").write_text("path,label\ncat/0.png,a\ndogö.png,b\n")
    path.write_bytes(content)
    options = ConvertOptions(source=str(path), output="", list=str(tmp_path / "l.csv"))
    assert keys(list_sources(options)) == [b"cat/0.png", "dogö.png".encode()]


def test_container_common_top_folder_hidden_files_and_inner_archives(tmp_path: Path) -> None:
    files = [(f"photos/{name}", data) for name, data in GOOD]
    files += [("README.txt", b"x"), ("__MACOSX/photos/cat/._0.png", b"x"), ("photos/.x", b"x")]
    files += [("photos/cat/more.zip", zip_bytes(GOOD))]
    for name, make in (("a.zip", zip_bytes), ("a.tar", tar_bytes)):
        found = listed(tmp_path / name, make(files))
        assert keys(found) == GOOD_KEYS
        assert found.skipped == 4
        assert any("1 archive inside" in note for note in found.notes)


@pytest.mark.parametrize(
    ("names", "layout", "splits"),
    [
        (["train/cat/0.png", "test/cat/1.png"], "splits", {"train", "test"}),
        (["data/train/cat/0.png", "data/val/cat/1.png"], "splits", {"train", "validation"}),
        (["train/cat/0.png", "train/dog/1.png"], "splits", {"train"}),
        (["cat/0.png", "dog/1.png"], "classes", set()),
        (["photos/cat/0.png", "photos/dog/1.png"], "classes", set()),
    ],
)
@pytest.mark.parametrize("make", [tar_bytes, zip_bytes])
def test_container_folders_are_found_as_in_a_folder(
    tmp_path: Path, make: Callable[..., bytes], names: list[str], layout: str, splits: set[str]
) -> None:
    suffix = "tar" if make is tar_bytes else "zip"
    found = listed(tmp_path / f"a.{suffix}", make([(name, PICTURE) for name in names]))
    assert (found.layout, found.splits) == (layout, splits)


def test_containers_named_after_splits_are_split_folders(tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "train.tar").write_bytes(tar_bytes(GOOD))
    inner = [("n01.tar", tar_bytes([("a.png", PICTURE)]))]
    (tmp_path / "sets" / "val.tar").write_bytes(tar_bytes(inner))
    found = list_sources(ConvertOptions(source=str(tmp_path / "sets"), output=""))
    assert (found.layout, found.splits) == ("splits", {"train", "validation"})
    assert keys(found)[-1] == b"val/n01/a.png"


ONE_PER_CLASS = [(f"n0{number}.tar", tar_bytes([("a.png", PICTURE)])) for number in range(2)]


@pytest.mark.parametrize(
    ("train", "is_named"),
    [
        (ONE_PER_CLASS, True),  # as those of ImageNet
        (GOOD, True),
        ([("photos/cat/0.png", PICTURE)], True),
        (GOOD[:1], False),  # both are one class
        ([("0.png", PICTURE)], False),
    ],
)
def test_container_that_is_one_class_next_to_one_with_several_is_named_in_a_note(
    tmp_path: Path, train: list[tuple[str, bytes]], is_named: bool
) -> None:
    (tmp_path / "all.tar").write_bytes(tar_bytes(train))
    (tmp_path / "rest.tar").write_bytes(tar_bytes([("val_0.png", PICTURE)]))
    found = list_sources(ConvertOptions(source=str(tmp_path / "*.tar"), output=""))
    assert b"rest/val_0.png" in keys(found)
    notes = [note for note in found.notes if "--append --list FILE" in note]
    assert len(notes) == is_named
    assert ("; 1 container as one class" in str(found.understood)) == is_named
    assert all(note.endswith("the first: rest.tar") for note in notes)


def test_tar_in_tar_in_tar_is_not_read(tmp_path: Path) -> None:
    deep = tar_bytes([("deep.tar", tar_bytes(GOOD))])
    found = listed(tmp_path / "a.tar", tar_bytes([("in.tar", deep), *GOOD]))
    assert keys(found) == GOOD_KEYS
    assert any("1 archive inside" in note for note in found.notes)


@pytest.mark.parametrize(
    "size", [b"\x80" + b"\xff" * 11, b"\x80\0\0\0\x80" + bytes(7), b"77777777777\0"]
)
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_tar_member_larger_than_the_archive_is_a_reject(
    tmp_path: Path, size: bytes, compress: Callable[[bytes], bytes]
) -> None:
    header = bytearray(tarfile.TarInfo("dog/x.png").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = size
    fix_checksum(header)
    content = tar_bytes(GOOD).rstrip(b"\0")
    content += bytes(-len(content) % 512) + bytes(header) + PICTURE
    name = "a.tar" if compress is bytes else "a.tgz"
    found = listed(tmp_path / name, compress(content))
    assert keys(found) == GOOD_KEYS
    assert "cut short" in reasons(found)["dog/x.png"]


def test_tar_number_in_base_256_and_signed_checksum_are_read(tmp_path: Path) -> None:
    header = bytearray(tarfile.TarInfo("cat/\xff.png").tobuf(tarfile.GNU_FORMAT, "latin-1"))
    header[124:136] = b"\x80" + len(PICTURE).to_bytes(11, "big")
    header[148:156] = b" " * 8
    signed = sum(byte - 256 * (byte > 127) for byte in header)
    header[148:156] = b"%06o\0 " % signed
    found = listed(tmp_path / "a.tar", bytes(header) + PICTURE.ljust(512, b"\0") + tar_bytes(GOOD))
    assert b"cat/\xff.png" in keys(found)


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("absent.zip", InputNotFoundError, "folder not found"),
        ("*.tar", InputNotFoundError, "no file matches the pattern"),
        ("*/a.tar", UsageError, "only the last part"),
        ("*.txt", UsageError, "not a container"),
        ("notes.txt", UsageError, "not a container"),
    ],
)
def test_convert_source_that_names_no_container_is_one_error(
    convert: Convert, tmp_path: Path, source: str, error: type[ShardmillError], words: str
) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(error, match=words):
        convert(source=f"{tmp_path}/{source}")


def test_convert_output_next_to_container_is_accepted(convert: Convert, tmp_path: Path) -> None:
    (tmp_path / "photos.tar").write_bytes(tar_bytes(GOOD))
    assert convert(source=str(tmp_path / "photos.tar")).counts.stored == len(GOOD)
    assert convert(source=str(tmp_path / "*.tar"), output=str(tmp_path / "b")).counts.stored == len(
        GOOD
    )


def test_convert_container_prints_what_it_found(
    convert: Convert, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "photos.tar").write_bytes(tar_bytes(GOOD))
    convert(source=str(tmp_path / "photos.tar"))
    assert "photos.tar: 1 TAR archive with 8 images in 2 classes" in logged.text
