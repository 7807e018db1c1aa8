"""Peak memory of a real conversion.

At most 250 MB and 12 bytes per pixel of the largest image.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from records import verify
from records.format import layout
from tests.faults import processes

BASE_BYTES, BYTES_PER_PX = 250_000_000, 12
SIZE_PX = (10_000, 9_000)
# These differ the most in decoded size and in the way they are stored.
KINDS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("RGB", "png", {}),
    ("RGBA", "png", {}),
    ("L", "png", {}),
    ("RGB", "jpg", {}),
    ("RGB", "jpg", {"progressive": True, "subsampling": 0}),
)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform != "linux", reason="other systems count otherwise")
def test_convert_90_megapixel_images_stay_within_memory_limit(tmp_path: Path) -> None:
    source, output = tmp_path / "photos", tmp_path / "data"
    for place, (mode, ending, options) in enumerate(KINDS):
        (source / str(place)).mkdir(parents=True)
        band = Image.linear_gradient("L").resize(SIZE_PX)
        first = source / str(place) / f"0.{ending}"
        Image.merge(mode, [band] * len(mode)).save(first, **options)
        for number in range(1, 20 // len(KINDS)):
            os.link(first, first.with_name(f"{number}.{ending}"))
    process = processes.start(source, output, "--workers=8", "--shards=1")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert (process.returncode, process.stderr and process.stderr.read()) == (0, "")
    assert (output / layout.REJECTS).read_bytes() == b""
    assert list(verify(output)) == []
    peak_bytes = usage.ru_maxrss * 1024
    assert peak_bytes < BASE_BYTES + BYTES_PER_PX * SIZE_PX[0] * SIZE_PX[1], peak_bytes
    logging.getLogger(__name__).info("peak: %d MB", peak_bytes // 1_000_000)
