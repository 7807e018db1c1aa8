"""Time and memory of `convert` by number of images, from a thousand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.harness.settings import Entry
from benchmarks.inputs.pictures import small_images
from benchmarks.suites.conversion import DECODE, HEADER, convert

if TYPE_CHECKING:
    from benchmarks.harness.settings import Setting


def enter(setting: Setting) -> Entry:
    """Return `convert` with both checks, on increasing numbers of small images."""
    contestants = [convert(HEADER, "header"), convert(DECODE, "decode")]
    sizes = setting.scale.linear_sizes
    return Entry(contestants, [small_images(setting.data, setting.cache, size) for size in sizes])
