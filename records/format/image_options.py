"""Image options of a conversion, on which the stored bytes depend."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args

import msgspec
from msgspec import UNSET, UnsetType

from records.errors import UsageError
from records.text.formatting import pluralize

# TensorFlow rejects images of 2**29 or more samples; a pixel has three samples. libjpeg rejects
# sides of more than 65,500 pixels.
MAX_PIXELS_LIMIT = (2**29 - 1) // 3
MAX_RESIZE_PX = 65_500


Store = Literal["source", "jpeg", "png", "raw", "mixed"]
DEFAULT_RAW_SHARE = 0.3


class ImageOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of the normalization of images; part of the manifest.

    Attributes:
        check: the check before an image is stored. `decode` decodes every image, `header` only
            images that are re-encoded.
        max_pixels: the maximum number of pixels of an image, according to its header.
        background: the colour under transparent pixels and around padded images, `RRGGBB` in hex.
        resize: the new size `(width, height)` in pixels; None keeps the size of each image.
        fit: the method for images whose aspect ratio is not that of `resize`: `stretch`, `crop`
            (to the center) or `pad`.
        store: the stored format. `source` stores JPEG files as JPEG and all other files as PNG;
            `jpeg`, `png` or `raw` (uint8 of shape height × width × channels) is the format of all
            images; `mixed` stores a part of the images as `raw`, and the others as `source`.
        raw_share: the fraction of the images that `mixed` stores as `raw`; unset for other formats.
        channels: the number of channels. 3 keeps grey images grey and colour images RGB;
            with `raw`, all images become RGB. 1 makes all images grey.
        jpeg_quality: the quality of images that are re-encoded as JPEG, 1 to 100.
        scaled_decode: whether a JPEG is decoded at 1/2, 1/4 or 1/8 of its size before it is
            resized, if that leaves at least twice `resize`. Set by `convert`; unset in datasets of
            earlier versions, and in datasets without `resize`.
    """

    check: Literal["header", "decode"] = "decode"
    max_pixels: int = 100_000_000
    background: str = "FFFFFF"
    resize: tuple[int, int] | None = None
    fit: Literal["stretch", "crop", "pad"] = "stretch"
    store: Store = "source"
    raw_share: float | UnsetType = UNSET
    channels: Literal[1, 3] = 3
    jpeg_quality: int = 95
    scaled_decode: Literal[True] | UnsetType = UNSET

    def validate(self) -> None:
        """Check the values, but not the types.

        Raises:
            UsageError: an option is invalid, or two options contradict each other; the message
                names the first error.
        """
        _require_choice("check", self.check, ("header", "decode"))
        _require_choice("fit", self.fit, ("stretch", "crop", "pad"))
        _require_choice("store", self.store, get_args(Store))
        _require_choice("channels", self.channels, (1, 3))
        _require_range("--max-pixels", self.max_pixels, MAX_PIXELS_LIMIT)
        _require_range("--jpeg-quality", self.jpeg_quality, 100)
        if not re.fullmatch(r"[0-9A-Fa-f]{6}", self.background):
            raise UsageError(
                "--background is not a colour",
                expected="six hex digits such as FFFFFF",
                got=repr(self.background),
            )
        self._validate_raw_share()
        self._validate_size()

    def _validate_raw_share(self) -> None:
        if self.store != "mixed":
            if self.raw_share is not UNSET:
                raise UsageError(
                    "--raw-share has an effect only with --store mixed",
                    got=f"--store {self.store}",
                    hint="add --store mixed, or omit --raw-share",
                )
        elif not isinstance(self.raw_share, float) or not 0 < self.raw_share < 1:
            raise UsageError(
                "--raw-share is out of range",
                expected="a fraction above 0 and below 1",
                got=repr(self.raw_share),
            )

    def _validate_size(self) -> None:
        if self.resize is None:
            if self.store in {"raw", "mixed"}:
                raise UsageError(
                    f"--store {self.store} needs a size", hint="add --resize N or --resize WxH"
                )
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
                "--resize has more pixels than --max-pixels allows",
                expected=f"at most {self.max_pixels:,}",
                got=f"{width}x{height}, {pluralize(width * height, 'pixel')}",
            )

    @property
    def for_conversion(self) -> ImageOptions:
        """The options with the fields that `convert` sets."""
        given: dict[str, Any] = {}
        if self.resize is not None:
            given["scaled_decode"] = True
        if self.store == "mixed" and self.raw_share is UNSET:
            given["raw_share"] = DEFAULT_RAW_SHARE
        return msgspec.structs.replace(self, **given)

    @property
    def for_prediction(self) -> ImageOptions:
        """The options for images that are not stored.

        Every image is decoded, because an image that cannot be decoded must be rejected. With
        `mixed`, no image is encoded as JPEG, so that the result does not depend on the share.
        """
        store: Store = "raw" if self.store == "mixed" else self.store
        return msgspec.structs.replace(self, check="decode", store=store, raw_share=UNSET)

    @property
    def keeps_most_files(self) -> bool:
        """Whether most images are stored unchanged, without being decoded."""
        unchanged = (self.resize, self.store, self.channels) == (None, "source", 3)
        return unchanged and self.check == "header"

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
            f"{name} is out of range",
            expected=f"a whole number from 1 to {most:,}",
            got=repr(value),
        )
