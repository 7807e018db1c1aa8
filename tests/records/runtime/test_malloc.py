"""Freed blocks: returned to the operating system, or reused."""

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


_REUSED = """
import resource, sys, threading
from records.runtime.malloc import reuse_large_blocks

if sys.argv[1] == "reused":
    reuse_large_blocks(arenas=2)

def work():
    for _ in range(20):
        blocks = [bytearray(b"x" * size) for size in (600_000, 5_000_000, 150_000)]
        del blocks

def run_threads():
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
        thread.join()

run_threads()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
run_threads()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_large_blocks_of_threads_if_reused_cause_few_page_faults() -> None:
    def count_page_faults(which: str) -> int:
        command = [sys.executable, "-c", _REUSED, which]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert count_page_faults("reused") * 10 < count_page_faults("default")


_CHANGED = """
from records.runtime.malloc import return_large_blocks, reuse_large_blocks
import resource

def count_page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        bytearray(b"x" * 4_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

for change in (return_large_blocks, lambda: reuse_large_blocks(2), return_large_blocks):
    change()
    count_page_faults()
    print(count_page_faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_settings_of_malloc_changed_twice_apply_each_time() -> None:
    command = [sys.executable, "-c", _CHANGED]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    returned, reused, returned_again = map(int, ended.stdout.split())
    assert reused * 10 < min(returned, returned_again)


_ITEMS = """
import resource
from records.runtime.malloc import reuse_blocks, table_blocks_returned

def decode():
    for size in range(10):
        yield [bytearray(b"x" * (BYTES - size)) for _ in range(3)]

def count_page_faults(items):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    kept = [bytes(b"x" * 65_536) for item in items]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident_bytes():
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * 4096

with table_blocks_returned():
    before = resident_bytes()
    print(count_page_faults(decode()), count_page_faults(reuse_blocks(decode())))
    print(resident_bytes() - before, count_page_faults(decode()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
@pytest.mark.parametrize("size_bytes", [3_000_000, 40_000_000])
def test_items_with_reused_blocks_cause_few_page_faults_and_leave_no_memory(
    size_bytes: int,
) -> None:
    command = [sys.executable, "-c", f"BYTES = {size_bytes}\n{_ITEMS}"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    returned, reused, held_bytes, returned_again = map(int, ended.stdout.split())
    assert reused * 5 < min(returned, returned_again)
    assert held_bytes < 2 << 20
