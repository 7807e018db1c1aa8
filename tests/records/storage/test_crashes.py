"""Deaths of a process at every step of a write.

A subprocess forks a child for each n. The child dies before its n-th system call; the parent then
checks that the file is complete or does not exist, and repeats the work.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_SCRIPT = '''
import io, os, sys
from pathlib import Path
from records.storage import open_storage, write_file
from records.storage.exclusive import write_new_file

OLD, NEW = b"the old content", b"the new content" * 1000
folder, operation = Path(sys.argv[1]), sys.argv[2]


def work(storage):
    if operation == "new file":
        return write_new_file(str(storage.path / "sub" / "a.bin"), NEW)
    if operation == "replace":
        return storage.replace("sub/a.bin", NEW)
    with storage.create("sub/a.bin") as stream:
        stream.write(NEW[:5000])
        stream.write(NEW[5000:])


def die_before(step):
    """End this process before its step-th system call; a write is half done then."""
    calls = 0

    def counting(function):
        def call(*arguments, **named):
            nonlocal calls
            calls += 1
            if calls == step:
                if function is os.write:
                    function(arguments[0], arguments[1][: len(arguments[1]) // 2])
                os._exit(9)
            return function(*arguments, **named)
        return call

    for name in ("open", "mkdir", "link", "unlink", "replace", "rename", "fsync", "close"):
        setattr(os, name, counting(getattr(os, name)))
    write = counting(os.write)
    plain = io.open

    class Raw(io.RawIOBase):
        def __init__(self, descriptor): self.descriptor = descriptor
        def writable(self): return True
        def fileno(self): return self.descriptor
        def write(self, data): return write(self.descriptor, data)

    def opening(path, mode="r", *rest, **named):
        if "x" not in mode:
            return plain(path, mode, *rest, **named)
        return io.BufferedWriter(Raw(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)), 4096)

    io.open = opening


def check(place, allowed):
    final = place / "sub" / "a.bin"
    found = final.read_bytes() if final.exists() else None
    assert found in allowed, (place, found)
    if operation == "new file" and found == NEW:
        final.unlink()  # `write_new_file` replaces no file
    work(open_storage(place))
    assert final.read_bytes() == NEW
    if operation == "new file":
        assert os.listdir(final.parent) == ["a.bin"]


for step in range(1, 1000):
    place = folder / str(step)
    if operation == "replace":
        write_file(open_storage(place), "sub/a.bin", OLD)
    (place / "sub").mkdir(parents=True, exist_ok=True)
    child = os.fork()
    if not child:
        die_before(step)
        work(open_storage(place))
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in {0, 9}, status
    done = status == 0
    check(place, {NEW} if done else {OLD, NEW} if operation == "replace" else {None, NEW})
    if done:
        print(step - 1)
        break
'''


@pytest.mark.parametrize("operation", ["create", "replace", "new file"])
def test_local_write_killed_at_any_step_leaves_file_complete_or_absent(
    tmp_path: Path, operation: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(tmp_path), operation],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) >= (4 if operation == "new file" else 10)
