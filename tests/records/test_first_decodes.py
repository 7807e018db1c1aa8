"""The first values of a type, decoded in several threads at the same time."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
from __future__ import annotations
import sys
import threading
import msgspec
from records.strict_json import decode_json

THREADS = 6
sys.setswitchinterval(1e-6)
for _ in range(100):

    class Inner(msgspec.Struct):
        a: int
        b: str = ""
        c: list[int] = []

    class Outer(msgspec.Struct):
        inner: dict[str, Inner]
        more: list[Inner] = []

    globals().update(Inner=Inner, Outer=Outer)
    barrier = threading.Barrier(THREADS)

    def decode():
        barrier.wait()
        assert decode_json(b'{"inner": {"x": {"a": 1}}, "more": [{"a": 2}]}', Outer).more[0].a == 2

    threads = [threading.Thread(target=decode) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_decode_json_first_in_several_threads_does_not_end_the_process() -> None:
    ended = subprocess.run([sys.executable, "-c", _PROGRAM], stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
