"""Memory limit of decoding, for any number of threads.

It is 250 MB and 12 bytes per pixel of the largest image.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).parents[3]

DECODE = """
import sys, threading
from pathlib import Path
from records.images import ImageOptions, NormalizedImage, normalize_image

data = Path(sys.argv[1]).read_bytes()
stored = []
threads = [
    threading.Thread(target=lambda: stored.append(normalize_image(data, ImageOptions())))
    for _ in range(int(sys.argv[2]))
]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert all(isinstance(one, NormalizedImage) for one in stored), stored
lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(lines["VmHWM"].split()[0]) * 1024)
"""

# Mode, size in px, format, Pillow's options, threads.
LARGE: list[tuple[str, tuple[int, int], str, dict[str, Any], int]] = [
    ("RGBA", (8000, 5000), "PNG", {"compress_level": 1}, 8),
    ("RGB", (8000, 5000), "JPEG", {"progressive": True, "subsampling": 0}, 4),
    ("CMYK", (5000, 4000), "JPEG", {"progressive": True}, 4),
    ("RGB", (8000, 5000), "WEBP", {"lossless": True, "method": 0}, 2),
    ("RGB", (4000, 3000), "JPEG", {}, 32),
]


def gradient(mode: str, size: tuple[int, int]) -> Image.Image:
    return Image.merge(mode, [Image.linear_gradient("L").resize(size)] * len(mode))


# Only Linux reports the peak of one process without that of its parent.
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize(
    "large",
    [
        pytest.param(one, marks=pytest.mark.slow if one[2] in {"PNG", "WEBP"} else ())
        for one in LARGE
    ],
    ids=[f"{one[0]}-{one[2]}-{one[4]}" for one in LARGE],
)
def test_decoding_large_images_on_threads_stays_within_memory_limit(
    tmp_path: Path, encode: Any, large: Any
) -> None:
    mode, size, kind, options, threads = large
    path = tmp_path / "large"
    path.write_bytes(encode(gradient(mode, size), kind, **options))
    command = [sys.executable, "-c", DECODE, str(path), str(threads)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 250_000_000 + 12 * size[0] * size[1]
