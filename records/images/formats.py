"""Detection of image formats; opening of the formats on an allow-list.

The magic bytes determine the format, never the file name. The allow-list is necessary: to open
formats such as EPS, PDF and WMF, Pillow may run external programs.
"""

from __future__ import annotations

import logging
import re
import warnings
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from records.images.essentials import find_orientation, reduce_file
from records.images.rejection import ImageRejectedError
from records.images.tiff import CAMERA_RAW, TiffPicture, begin_with_picture

if TYPE_CHECKING:
    from PIL import ImageFile

_PREFIXES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"\0\0\0\x0cjP  ", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"\0\0\0\x0cJXL ", "jpegxl"),
    (b"\xff\x0a", "jpegxl"),
    (b"8BPS", "psd"),
    (b"%!PS", "eps"),
    (b"\xc5\xd0\xd3\xc6", "eps"),
    (b"%PDF-", "pdf"),
    (b"\xd7\xcd\xc6\x9a", "wmf"),
    (b"DDS ", "dds"),
    (b"qoif", "qoi"),
    (b"icns", "icns"),
    (b"v/1\x01", "openexr"),
    (b"#?RADIANCE", "hdr"),
    (b"#?RGBE", "hdr"),
    (b"SIMPLE  =", "fits"),
    (b"Y\xa6j\x95", "sun"),
    (b"gimp xcf", "xcf"),
    (b"/* XPM */", "xpm"),
    (b"AT&TFORM", "djvu"),
    (b"FUJIFILMCCD-RAW", "raw"),
    (b"IIRO", "raw"),
    (b"IIRS", "raw"),
    (b"MMOR", "raw"),
    (b"IIU\0", "raw"),
    (b"FOVb", "raw"),
    (b"II\x1a\0\0\0HEAPCCDR", "raw"),
    (b"\0MRM", "raw"),
    (b"<svg", "svg"),
)
_BRANDS = (
    dict.fromkeys((b"avif", b"avis"), "avif")
    | dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm"), "heif")
    | dict.fromkeys((b"hevs", b"mif1", b"msf1"), "heif")
    | {b"crx ": "raw"}
)
# Short magic numbers: the pattern also checks other bytes of the header.
_PATTERNS = tuple(
    (re.compile(pattern, re.DOTALL), name)
    for pattern, name in (
        (rb"RIFF.{4}WEBP", "webp"),
        (rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", "bmp"),
        (rb"P[1-7Ff][ \t\r\n]", "pnm"),
        (rb"\x00\x00[\x01\x02]\x00[\x01-\x3f]\x00", "ico"),
        (rb"\x01\xda[\x00\x01][\x01\x02]", "sgi"),
        (rb"\x01\x00\x00\x00.{36} EMF", "emf"),
        (rb"\x0a[\x00\x02\x03\x05]\x01", "pcx"),
        (rb"<(?:\?xml|!DOC).*<svg", "svg"),
        (rb"#define \S+_width", "xbm"),
        # Colour map, image type, width, height, bits per pixel, and two unused bits.
        (
            rb".[\0\x01][\x01-\x03\x09-\x0b].{9}(?!\0\0)..(?!\0\0)..[\x08\x0f\x10\x18 ][\0-\x3f]",
            "tga",
        ),
    )
)

IMAGE_EXTENSIONS = frozenset(
    f".{name}"
    for line in (
        "jpg jpeg jpe jfif mpo png apng gif bmp dib webp tif tiff avif avifs heic heif hif",
        "jp2 j2k j2c jpc jpx jpf jxl psd psb eps ps wmf emf ico cur icns dds qoi pbm pgm ppm pnm",
        "pam pfm pcx sgi rgb rgba bw tga exr hdr fits fit ras xcf xpm xbm djvu svg",
        "cr2 cr3 crw nef nrw arw sr2 srf dng gpr raf orf rw2 rwl pef srw x3f mrw 3fr fff iiq erf",
        "mef mos kdc dcr",
    )
    for name in line.split()
)
"""File extensions of images, supported or not, in lower case with a dot."""


class _FirstFrameWebP(WebPImagePlugin.WebPImageFile):
    """WebP file that frees the decoder and its canvases (8 bytes per pixel) after one frame."""

    def load_prepare(self) -> None:
        self._decoder = None
        super().load_prepare()


class _FirstFrameAvif(AvifImagePlugin.AvifImageFile):
    """AVIF file that frees the decoder and its frames after the first frame."""

    def load_prepare(self) -> None:
        self._decoder = None
        super().load_prepare()


_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "webp": _FirstFrameWebP,
    "tiff": TiffPicture,
    "avif": _FirstFrameAvif,
}

_WARNINGS_OF_PILLOW = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_DISCARD_LOG = logging.NullHandler()
_SHOWN_BYTES = 12


def sniff(head: bytes) -> str | None:
    """Return the image format, supported or not, that the first bytes of a file indicate.

    Args:
        head: the first 32 bytes or more, or the complete file if the file is shorter.

    Returns:
        A short name such as `jpeg`, `heif` or `psd`; None if the bytes are not an image.
    """
    for prefix, name in _PREFIXES:
        if head.startswith(prefix):
            return name
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    return next((name for pattern, name in _PATTERNS if pattern.match(head)), None)


def describe_unknown(head: bytes) -> str:
    """Return the reason why a file of an unknown format is rejected, with its first bytes.

    Text, such as that of a web page instead of the image, is shown as text.
    """
    start = head[:_SHOWN_BYTES]
    is_text = start.isascii() and start.decode("ascii").isprintable()
    shown = f'"{start.decode()}"' if is_text else start.hex(" ")
    return f"not an image: begins with {shown}"


def is_partial_magic(data: bytes) -> bool:
    """Return whether `data` is a truncated magic number."""
    return any(prefix.startswith(data) for prefix, _ in _PREFIXES)


class OpenImage(NamedTuple):
    """The first image of a file, whose pixels are not read yet.

    Attributes:
        image: the image, as coded.
        orientation: the orientation in the metadata, 1 (upright) to 8.
        is_animated: whether the file contains several images.
    """

    image: ImageFile.ImageFile
    orientation: int
    is_animated: bool


NEEDS_HEIF = "HEIC needs pillow-heif, which the extra heif of shardmill installs"
"""The detail of rejected HEIC images if pillow-heif is not installed."""


def open_image(kind: str, data: bytes) -> OpenImage:
    """Open the first image of a file: read the header, not the pixels.

    The plugin is called directly: `Image.open` would check sizes against a global of Pillow, warn,
    and try formats that are not on the allow-list. It receives only the parts of the file that
    determine the pixels: the time and memory of libraries are not bounded for metadata.

    Raises:
        ImageRejectedError: `unsupported` if the format is not supported or not installed.
        Exception: any exception from Pillow, if the bytes are corrupt.
    """
    _silence_pillow()
    if kind == "raw":
        raise ImageRejectedError("unsupported", CAMERA_RAW)
    plugin = _heif_plugin() if kind == "heif" else _PLUGINS.get(kind)
    if plugin is None:
        raise ImageRejectedError(
            "unsupported", f"the format {kind} is not taken; convert it to PNG"
        )
    if (kind == "avif" and not AvifImagePlugin.SUPPORTED) or (
        kind == "webp" and not WebPImagePlugin.SUPPORTED
    ):
        raise ImageRejectedError("unsupported", f"this Pillow was built without {kind}")
    skipped = False
    if kind == "tiff":
        data, skipped = begin_with_picture(data)
    essentials = reduce_file(kind, data)
    image = plugin(BytesIO(essentials.data))
    if kind in {"avif", "heif"}:
        # Pillow describes the transformation of the image as EXIF; libheif has applied it.
        orientation = find_orientation(image.info.get("exif"), None)
        return OpenImage(image, orientation, bool(getattr(image, "is_animated", False)))
    return OpenImage(image, essentials.orientation, essentials.is_animated or skipped)


def _silence_pillow() -> None:
    """Ignore the warnings and log lines of Pillow, which report unusual metadata.

    Rejections report all errors. If Python is set to raise warnings as errors, a warning would
    reject a valid image. A filter around each call would not be thread-safe. A filter added on
    import would be overridden by a filter that is added later.
    """
    if warnings.filters[:1] != [_WARNINGS_OF_PILLOW]:
        warnings.filterwarnings("ignore", module=r"PIL\.")
    logger = logging.getLogger("PIL")
    if _DISCARD_LOG not in logger.handlers:
        logger.addHandler(_DISCARD_LOG)


def _heif_plugin() -> type[ImageFile.ImageFile]:
    try:
        from pillow_heif.as_plugin import HeifImageFile
    except ImportError:
        detail = NEEDS_HEIF
        raise ImageRejectedError("unsupported", detail) from None
    plugin: type[ImageFile.ImageFile] = HeifImageFile
    return plugin


def _sniff_brands(head: bytes) -> str | None:
    """Return the format of an ISO media file, by the major brand or a compatible brand."""
    box_end = min(len(head), int.from_bytes(head[:4]))
    brands = [head[at : at + 4] for at in (8, *range(16, box_end - 3, 4))]
    # `mif1` means only that there is an image; a more specific brand may follow.
    brands.sort(key=lambda brand: brand in {b"mif1", b"msf1"})
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)
