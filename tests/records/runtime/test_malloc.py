"""Return of freed blocks to the operating system."""

from __future__ import annotations

import subprocess
import sys

import pytest

_HELD = """
import sys
from records.runtime.malloc import return_large_blocks, table_blocks_returned

def resident_bytes():
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * 4096

def held_bytes(size, count):
    # Freed in order of allocation; the last block keeps the heap from shrinking.
    before = resident_bytes()
    blocks = [bytearray(b"x" * size) for _ in range(count)]
    last = bytearray(b"x" * size)
    del blocks
    return resident_bytes() - before

size, count = int(sys.argv[2]), int(sys.argv[3])
held_bytes(size, count)  # by now glibc keeps blocks of this size
if sys.argv[1] == "large":
    return_large_blocks()
    print(held_bytes(size, count))
else:
    with table_blocks_returned():
        print(held_bytes(size, count))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
@pytest.mark.parametrize(
    ("which", "size", "count"), [("large", 3 << 20, 20), ("table", 1 << 16, 900)]
)
def test_freed_blocks_with_the_setting_leave_the_process(which: str, size: int, count: int) -> None:
    command = [sys.executable, "-c", _HELD, which, str(size), str(count)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(ended.stdout) < 5 << 20
