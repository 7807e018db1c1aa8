"""Files of third parties: what is opened, and what is refused instead of being waited for."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from records.errors import CorruptDataError
from records.storage import open_named_file, open_storage, read_named_file
from records.storage.errors import RefusedFileError
from records.storage.local import LocalStorage
from records.storage.untrusted_file import UntrustedFolder, read_named
from tests.clock import replace_time

CONTENT = b"content"


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        before = os.open(".", os.O_RDONLY)
        os.chdir(path.parent)  # the path of a socket must be short
        listener.bind(path.name)
        os.fchdir(before)
        os.close(before)


def _link_to_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("p"))
    path.symlink_to("p")


REFUSED: dict[str, Callable[[Path], None]] = {
    "named pipe": os.mkfifo,
    "socket": _socket,
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to a file elsewhere": lambda path: path.symlink_to(path.parents[1] / "elsewhere" / "a"),
    "link to a pipe": _link_to_pipe,
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "link up and down again": lambda path: path.symlink_to("../elsewhere/a"),
    "folder": Path.mkdir,
    "nothing": lambda _path: None,
}


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    for name in ("inside", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_bytes(CONTENT)
    return tmp_path / "inside"


def read(folder: UntrustedFolder, name: bytes) -> bytes:
    descriptor = folder.open_file(name)
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()


@pytest.mark.parametrize("folder", ["", "x/", "x/y/"])
@pytest.mark.parametrize("kind", REFUSED)
def test_open_file_refuses_everything_but_regular_files_inside(
    inside: Path, kind: str, folder: str
) -> None:
    (inside / folder).mkdir(parents=True, exist_ok=True)
    REFUSED[kind](inside / folder / "victim")
    before = _open_descriptors()
    with pytest.raises(OSError):  # noqa: PT011 - any kind of it
        UntrustedFolder(inside).open_file(f"{folder}victim".encode())
    assert _open_descriptors() == before


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("target", ["a", "../inside/a", "{inside}/a", "x/../a", "again"])
def test_open_file_link_to_file_inside_is_followed(inside: Path, target: str, follow: bool) -> None:
    (inside / "x").mkdir()
    (inside / "again").symlink_to("a")
    (inside / "link").symlink_to(target.format(inside=inside))
    (inside / "folder").symlink_to(".")
    folder = UntrustedFolder(inside, follow_links=follow)
    assert read(folder, b"link") == read(folder, b"folder/link") == CONTENT


@pytest.mark.parametrize("name", ["link", "folder/a", "folder/folder/a"])
def test_open_file_link_out_of_folder_needs_follow_links(inside: Path, name: str) -> None:
    (inside / "link").symlink_to("../elsewhere/a")
    (inside / "folder").symlink_to("../elsewhere")
    (inside.parent / "elsewhere" / "folder").symlink_to(".")
    assert read(UntrustedFolder(inside, follow_links=True), name.encode()) == CONTENT
    with pytest.raises(RefusedFileError, match="leads out of the folder"):
        UntrustedFolder(inside).open_file(name.encode())


@pytest.mark.parametrize(
    "name", ["../elsewhere/a", "x/../../elsewhere/a", "{elsewhere}/a", "", "x//../a", ".."]
)
def test_open_file_path_out_of_folder_is_refused(inside: Path, name: str) -> None:
    (inside / "x").mkdir()
    name = name.format(elsewhere=inside.parent / "elsewhere")
    with pytest.raises(OSError):  # noqa: PT011 - any kind of it
        UntrustedFolder(inside).open_file(name.encode())


def test_open_file_folder_itself_may_be_a_link(inside: Path) -> None:
    (inside.parent / "link").symlink_to("inside")
    assert read(UntrustedFolder(inside.parent / "link"), b"a") == CONTENT


def test_open_file_keeps_a_bounded_number_of_folders_open(inside: Path) -> None:
    folder = UntrustedFolder(inside)
    before = _open_descriptors()
    for number in range(60):
        (inside / str(number)).mkdir()
        (inside / str(number) / "a").write_bytes(CONTENT)
        assert read(folder, b"%d/a" % number) == CONTENT
    assert _open_descriptors() - before < 20
    del folder
    assert _open_descriptors() == before


def test_open_file_folder_exchanged_for_link_still_reads_the_first(inside: Path) -> None:
    (inside / "x").mkdir()
    (inside / "x" / "a").write_bytes(b"first")
    folder = UntrustedFolder(inside)
    assert read(folder, b"x/a") == b"first"
    (inside / "x").rename(inside / "moved")
    (inside / "x").symlink_to("../elsewhere")
    assert read(folder, b"x/a") == b"first"
    with pytest.raises(OSError):  # noqa: PT011 - any kind of it
        UntrustedFolder(inside).open_file(b"x/a")


def _open_descriptors() -> int:
    folder = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
    return len(list(Path(folder).iterdir()))


class TestStorage:
    @pytest.mark.parametrize("kind", REFUSED)
    @pytest.mark.parametrize("way", ["read", "open", "open_random_access"])
    def test_local_storage_refuses_everything_but_regular_files_inside(
        self, inside: Path, kind: str, way: str
    ) -> None:
        REFUSED[kind](inside / "victim")
        with pytest.raises((CorruptDataError, FileNotFoundError, Exception)) as caught:
            getattr(LocalStorage(str(inside)), way)("victim")
        assert "victim" in str(caught.value)

    def test_local_storage_still_follows_named_links_after_pickling(self, inside: Path) -> None:
        (inside / "link").symlink_to("../elsewhere/a")
        storage, name = open_named_file(inside / "link")
        assert pickle.loads(pickle.dumps(storage)).read(name) == CONTENT
        with pytest.raises(CorruptDataError, match="leads out of the folder"):
            open_storage(inside).read("link")


class TestNamedFiles:
    @pytest.fixture
    def writing(self) -> Iterator[Callable[..., None]]:
        """Write pieces to a named pipe from a thread, with pauses between them."""
        threads = []

        def write(path: Path, *pieces: bytes, pause: float = 0.1) -> None:
            def run() -> None:
                time.sleep(pause)
                with path.open("wb", buffering=0) as stream:
                    for piece in pieces:
                        stream.write(piece)
                        time.sleep(pause)

            threads.append(threading.Thread(target=run))
            threads[-1].start()

        yield write
        for thread in threads:
            thread.join()

    def test_read_named_file_pipe_is_read_to_its_end(
        self, tmp_path: Path, writing: Callable[..., None]
    ) -> None:
        os.mkfifo(tmp_path / "pipe")
        writing(tmp_path / "pipe", b"one\n", b"x" * 100_000, b"three")
        assert read_named_file(tmp_path / "pipe") == b"one\n" + b"x" * 100_000 + b"three"

    def test_read_named_file_pipe_without_writer_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        os.mkfifo(tmp_path / "pipe")
        clock = iter(range(0, 10_000, 4))
        replace_time(
            monkeypatch, "records.storage.untrusted_file", monotonic=lambda: float(next(clock))
        )
        with pytest.raises(CorruptDataError, match="no process writes to this pipe"):
            read_named_file(tmp_path / "pipe")

    @pytest.mark.parametrize(
        "command",
        ["{read} <(echo a; sleep 0.2; echo b)", "{{ echo a; echo b; }} | {read} /dev/stdin",
         "{read} /dev/stdin < {file}", "{read} {file}", "{read} {link}"],
    )  # fmt: skip
    def test_read_named_file_of_a_shell_is_read(self, tmp_path: Path, command: str) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").write_bytes(b"a\nb\n")
        (tmp_path / "folder" / "link").symlink_to("../file")
        script = tmp_path / "read.py"
        script.write_text(
            "import sys\nfrom records.storage import read_named_file\n"
            "sys.stdout.buffer.write(read_named_file(sys.argv[1]))\n"
        )
        text = command.format(
            read=f"{sys.executable} {script}",
            file=tmp_path / "file",
            link=tmp_path / "folder" / "link",
        )
        ended = subprocess.run(
            ["bash", "-c", text],
            capture_output=True,
            check=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        assert ended.stdout == b"a\nb\n"

    @pytest.mark.parametrize("path", ["/dev/zero", "/dev/full"])
    def test_read_named_device_is_refused(self, path: str) -> None:
        with pytest.raises(RefusedFileError, match="a device"):
            read_named(path)

    def test_read_named_empty_device_is_empty(self) -> None:
        assert read_named(os.devnull) == b""


def test_refused_file_error_keeps_its_kind_in_pickles() -> None:
    error: Any = pickle.loads(pickle.dumps(RefusedFileError(22, "not a regular file")))
    assert (type(error), error.strerror) == (RefusedFileError, "not a regular file")
