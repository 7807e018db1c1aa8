"""Return of large freed blocks to the operating system."""

from __future__ import annotations

import subprocess
import sys

import pytest

_HELD = """
import sys
from records.runtime.malloc import return_large_blocks

def resident_bytes():
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * 4096

def held_bytes():
    # Freed in order of allocation; the last block keeps the heap from shrinking.
    before = resident_bytes()
    blocks = [bytearray(b"x" * (3 << 20)) for _ in range(20)]
    last = bytearray(b"x" * (3 << 20))
    del blocks
    return resident_bytes() - before

held_bytes()  # by now glibc keeps blocks of this size
return_large_blocks()
print(held_bytes())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_return_large_blocks_freed_memory_leaves_the_process() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _HELD], capture_output=True, text=True, check=True
    )
    assert int(ended.stdout) < 5 << 20
