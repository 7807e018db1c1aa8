"""The image options of a conversion that decide which bytes are stored."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from records.errors import UsageError

# TensorFlow refuses pictures of 2**29 samples, here three a pixel; libjpeg sides over 65,500.
MAX_PIXELS_LIMIT = (2**29 - 1) // 3
MAX_RESIZE_PX = 65_500


class ImageOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of every stored image; part of the manifest, so every field affects bytes.

    Args:
        check: `decode` decodes everything that is stored, `header` only what must be re-encoded.
        max_pixels: the most pixels an image may have, judged from its header.
        background: `RRGGBB` in hex, under transparent pixels and around padded images.
        resize: `(width, height)` in pixels, or None to keep every image's own size.
        fit: how a resize treats another aspect ratio: `stretch` it, `crop` the middle, or `pad`.
        store: `source` keeps JPEG as JPEG and makes PNG of the rest; `jpeg`, `png` and `raw`
            (uint8, height x width x channels) store everything as that.
        channels: 3 keeps grey images grey and colour ones RGB (raw: all RGB); 1 makes all grey.
        jpeg_quality: 1 to 100, for what is re-encoded as JPEG.
    """

    check: Literal["header", "decode"] = "decode"
    max_pixels: int = 100_000_000
    background: str = "FFFFFF"
    resize: tuple[int, int] | None = None
    fit: Literal["stretch", "crop", "pad"] = "stretch"
    store: Literal["source", "jpeg", "png", "raw"] = "source"
    channels: Literal[1, 3] = 3
    jpeg_quality: int = 95

    def validate(self) -> None:
        """Check what the types cannot say.

        Raises:
            UsageError: naming the first option whose value cannot be meant.
        """
        _require_choice("check", self.check, ("header", "decode"))
        _require_choice("fit", self.fit, ("stretch", "crop", "pad"))
        _require_choice("store", self.store, ("source", "jpeg", "png", "raw"))
        _require_choice("channels", self.channels, (1, 3))
        _require_range("--max-pixels", self.max_pixels, MAX_PIXELS_LIMIT)
        _require_range("--jpeg-quality", self.jpeg_quality, 100)
        if not re.fullmatch(r"[0-9A-Fa-f]{6}", self.background):
            raise UsageError(
                "--background is not a colour",
                expected="six hex digits such as FFFFFF",
                got=repr(self.background),
            )
        self._validate_size()

    def _validate_size(self) -> None:
        if self.resize is None:
            if self.store == "raw":
                raise UsageError("--store raw needs a size", hint="add --resize N or --resize WxH")
            if self.fit != "stretch":
                raise UsageError(
                    f"--fit {self.fit} needs a size", hint="add --resize N or --resize WxH"
                )
            return
        width, height = self.resize
        _require_range("--resize", width, MAX_RESIZE_PX)
        _require_range("--resize", height, MAX_RESIZE_PX)
        if width * height > self.max_pixels:
            raise UsageError(
                "--resize asks for more pixels than --max-pixels allows",
                expected=f"at most {self.max_pixels:,}",
                got=f"{width}x{height}, {width * height:,} pixels",
            )

    @property
    def keeps_most_files(self) -> bool:
        """Whether only what cannot be stored as it is gets decoded."""
        as_they_are = (self.resize, self.store, self.channels) == (None, "source", 3)
        return as_they_are and self.check == "header"

    @property
    def background_rgb(self) -> tuple[int, int, int]:
        """The background as red, green, blue, each 0 to 255."""
        red, green, blue = bytes.fromhex(self.background)
        return red, green, blue


def _require_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise UsageError(
            f"--{name} has an unknown value",
            expected="one of " + ", ".join(map(str, choices)),
            got=repr(value),
        )


def _require_range(name: str, value: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise UsageError(
            f"{name} is out of range", expected=f"a whole number, 1 to {most:,}", got=repr(value)
        )
