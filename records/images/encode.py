"""Encoding of stored images, and encoder versions."""

from __future__ import annotations

from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import features

from records.images.rejection import ImageRejectedError

if TYPE_CHECKING:
    from PIL import Image

StoredFormat = Literal["jpeg", "png", "raw"]

_MAX_JPEG_SIDE_PX = 65_500
JPEG_SIGNATURE = b"\xff\xd8\xff"
PNG_SIGNATURE = b"\x89PNG"


def encode_image(image: Image.Image, stored_format: StoredFormat, jpeg_quality: int) -> bytes:
    """Encode an `L` or `RGB` image as JPEG (4:4:4), as PNG, or as raw samples row by row.

    Raises:
        ImageRejectedError: `too-large` if a side of a JPEG would exceed 65,500 pixels.
    """
    if stored_format == "raw":
        return image.tobytes()
    # Otherwise Pillow copies colour profile, comment and transparent colour of the source.
    image.info = {}
    content = BytesIO()
    if stored_format == "png":
        image.save(content, "PNG")
    elif max(image.size) > _MAX_JPEG_SIDE_PX:
        raise ImageRejectedError(
            "too-large", f"a side of a JPEG has at most {_MAX_JPEG_SIDE_PX:,} pixels"
        )
    else:
        image.save(content, "JPEG", quality=jpeg_quality, subsampling=0)
    return content.getvalue()


def is_compressed(stored: bytes) -> bool:
    """Return whether a stored image begins as a JPEG or PNG file; raw samples may do so, too."""
    return stored.startswith((JPEG_SIGNATURE, PNG_SIGNATURE))


def encode_samples(
    content: bytes, height: int, width: int, channels: int, *, is_planar: bool = False
) -> bytes:
    """Return samples as a PNG file.

    Args:
        content: unsigned bytes, row by row.
        height: the height in pixels.
        width: the width in pixels.
        channels: 1 for grey, 3 for RGB.
        is_planar: whether the samples of each channel are together.
    """
    from PIL import Image

    if is_planar:
        planes = np.frombuffer(content, np.uint8).reshape(channels, height * width)
        content = planes.T.tobytes()
    image = Image.frombytes("RGB" if channels == 3 else "L", (width, height), content)
    return encode_image(image, "png", 0)


def encoder_versions() -> dict[str, str]:
    """Return the versions of the libraries that determine stored pixels and bytes, by name.

    Libraries that are not installed are omitted. Equal versions write equal bytes on the same
    processor architecture.
    """
    found = {
        "pillow": features.version("pil"),
        "libjpeg-turbo": features.version("libjpeg_turbo"),
        "zlib-ng": features.version("zlib_ng"),
        "webp": features.version("webp"),
        "tiff": features.version("libtiff"),
        "avif": features.version("avif"),
        "heif": _heif_version(),
    }
    if found["libjpeg-turbo"] is None:
        found["libjpeg"] = features.version("jpg")
    if found["zlib-ng"] is None:
        found["zlib"] = features.version("zlib")
    return {name: version for name, version in found.items() if version}


def _heif_version() -> str | None:
    if find_spec("pillow_heif") is None:
        return None
    from importlib.metadata import version

    return version("pillow-heif")
