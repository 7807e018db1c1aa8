"""Encoding of stored images, and the versions of the encoders."""

from __future__ import annotations

from importlib import metadata
from io import BytesIO
from typing import TYPE_CHECKING, Literal

from PIL import features

from records.images.rejection import ImageRejectedError

if TYPE_CHECKING:
    from PIL import Image

StoredFormat = Literal["jpeg", "png", "raw"]

_MAX_JPEG_SIDE_PX = 65_500


def encode_image(image: Image.Image, stored_format: StoredFormat, jpeg_quality: int) -> bytes:
    """Encode an `L` or `RGB` image as JPEG (4:4:4), as PNG, or as its samples row by row.

    Raises:
        ImageRejectedError: `too-large` if a JPEG would have a side over 65,500 pixels.
    """
    if stored_format == "raw":
        return image.tobytes()
    # Else Pillow copies the source's colour profile, comment and transparent colour.
    image.info = {}
    content = BytesIO()
    if stored_format == "png":
        image.save(content, "PNG")
    elif max(image.size) > _MAX_JPEG_SIDE_PX:
        raise ImageRejectedError(
            "too-large", f"a JPEG's sides hold {_MAX_JPEG_SIDE_PX:,} pixels at most"
        )
    else:
        image.save(content, "JPEG", quality=jpeg_quality, subsampling=0)
    return content.getvalue()


def encoder_versions() -> dict[str, str]:
    """Return the versions of the libraries on which stored pixels and bytes depend, by name.

    Libraries that are not installed are omitted. Equal versions give equal bytes on one processor
    architecture.
    """
    found = {
        "pillow": features.version("pil"),
        "libjpeg-turbo": features.version("libjpeg_turbo"),
        "zlib-ng": features.version("zlib_ng"),
        "webp": features.version("webp"),
        "tiff": features.version("libtiff"),
        "avif": features.version("avif"),
        "heif": _distribution_version("pillow-heif"),
    }
    if found["libjpeg-turbo"] is None:
        found["libjpeg"] = features.version("jpg")
    if found["zlib-ng"] is None:
        found["zlib"] = features.version("zlib")
    return {name: version for name, version in found.items() if version}


def _distribution_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
