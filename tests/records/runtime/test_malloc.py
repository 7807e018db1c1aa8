"""Return of large freed blocks to the operating system."""

from __future__ import annotations

import subprocess
import sys

import pytest

_HELD = """
import sys
from records.runtime.malloc import return_freed_memory

def resident_bytes():
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * 4096

def held_bytes():
    # Freed from the first on, what is behind them keeps them from going back by themselves.
    before = resident_bytes()
    blocks = [bytearray(b"x" * (300 << 10)) for _ in range(200)]
    last = bytearray(b"x" * 1000)
    del blocks
    return resident_bytes() - before

held_bytes()  # by now glibc keeps blocks of this size
with return_freed_memory(64 << 10):
    with return_freed_memory(1 << 20):
        pass
    print(held_bytes())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_return_freed_memory_large_blocks_leave_the_process() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _HELD], capture_output=True, text=True, check=True
    )
    assert int(ended.stdout) < 5 << 20
