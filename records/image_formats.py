"""Which image format some bytes are, and which of them Pillow may open.

Content decides, never a file's name. The formats taken are an allow-list: Pillow also knows EPS,
PDF and WMF, which start programs.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from records.rejections import RefusedError

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
    (b"<svg", "svg"),
)
_BRANDS = (
    (b"avif avis", "avif"),
    (b"heic heix heim heis hevc hevx hevm hevs mif1 msf1", "heif"),
    (b"crx ", "raw"),
)
_BMP_HEADER_BYTES = {12, 16, 40, 52, 56, 64, 108, 124}
_TGA_KINDS = {1, 2, 3, 9, 10, 11}
_TGA_BITS = {8, 15, 16, 24, 32}

IMAGE_EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .gif .bmp .dib .webp .tif .tiff .avif .avifs .heic"
    " .heif .hif .jp2 .j2k .j2c .jpc .jpx .jpf .jxl .psd .psb .eps .ps .wmf .emf .ico .cur .icns"
    " .dds .qoi .pbm .pgm .ppm .pnm .pam .pfm .pcx .sgi .rgb .rgba .bw .tga .exr .hdr .fits .fit"
    " .ras .xcf .xpm .xbm .djvu .svg .cr2 .cr3 .nef .arw .dng .raf .orf .rw2 .pef .srw .x3f".split()
)
"""File extensions of images, lower case with their dot, taken or not."""

_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "avif": AvifImagePlugin.AvifImageFile,
}


def sniff(head: bytes) -> str | None:
    """The image format that begins with these bytes, taken or not.

    Args:
        head: the first 32 bytes or more, or the whole file where it is shorter.

    Returns:
        A short name such as `jpeg`, `heif` or `psd`, None where it looks like no image.
    """
    for prefix, name in _PREFIXES:
        if head.startswith(prefix):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    return _sniff_weak(head)


def is_cut_magic(data: bytes) -> bool:
    """Whether `data` is the beginning of a magic number and nothing more."""
    return any(prefix.startswith(data) for prefix, _ in _PREFIXES)


def open_image(kind: str, data: bytes) -> ImageFile.ImageFile:
    """The first picture of `data`, its header read and its pixels not yet.

    The plugin is called directly: `Image.open` judges sizes by a global of Pillow's, warns, and
    tries what is not allowed here.

    Raises:
        RefusedError: `unsupported` where the format is not taken or not installed.
        Exception: of many types, from Pillow, when the bytes are wrong.
    """
    if kind == "heif":
        return _open_heif(data)
    plugin = _PLUGINS.get(kind)
    if plugin is None:
        raise RefusedError("unsupported", f"the format {kind} is not taken; convert it to PNG")
    if (kind == "avif" and not AvifImagePlugin.SUPPORTED) or (
        kind == "webp" and not WebPImagePlugin.SUPPORTED
    ):
        raise RefusedError("unsupported", f"this Pillow was built without {kind}")
    return plugin(BytesIO(data))


def _open_heif(data: bytes) -> ImageFile.ImageFile:
    try:
        from pillow_heif.as_plugin import HeifImageFile  # noqa: PLC0415 an extra, and slow to load
    except ImportError:
        hint = 'HEIC needs an extra: pip install "shardmill[heif]"'
        raise RefusedError("unsupported", hint) from None
    image: ImageFile.ImageFile = HeifImageFile(BytesIO(data))
    return image


def _sniff_brands(head: bytes) -> str | None:
    """The format of an ISO media file, by its major brand, else by the compatible ones."""
    box_end = min(len(head), int.from_bytes(head[:4]))
    brands = [head[at : at + 4] for at in (8, *range(16, box_end - 3, 4))]
    # `mif1` says only that there is a picture; a more telling brand may follow it.
    brands.sort(key=lambda brand: brand in {b"mif1", b"msf1"})
    for brand in brands:
        for known, name in _BRANDS:
            if brand in known.split():
                return name
            if brand == known:
                return name
    return None


def _sniff_weak(head: bytes) -> str | None:
    """Formats whose magic is so short that more of the header must make sense."""
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_BYTES:
        return "bmp"
    if head[:1] == b"P" and head[1:2] in b"1234567Ff" and head[2:3] in b" \t\r\n" and head[2:3]:
        return "pnm"
    if head[:3] in {b"\0\0\1", b"\0\0\2"} and head[3:4] == b"\0" and 0 < head[4] < 64 > head[5]:
        return "ico"
    if head[:2] == b"\x01\xda" and head[2:3] in b"\0\1" and head[3:4] in b"\1\2":
        return "sgi"
    if head[:4] == b"\1\0\0\0" and head[40:44] == b" EMF":
        return "emf"
    if head[:1] == b"\x0a" and head[1:2] in b"\0\2\3\5" and head[2:3] == b"\1":
        return "pcx"
    if head[:5] in {b"<?xml", b"<!DOC"} and b"<svg" in head[:4096]:
        return "svg"
    if head[:8] == b"#define " and b"_width" in head:
        return "xbm"
    return "tga" if _looks_like_tga(head) else None


def _looks_like_tga(head: bytes) -> bool:
    return (
        len(head) >= 18
        and head[1] <= 1
        and head[2] in _TGA_KINDS
        and head[16] in _TGA_BITS
        and head[17] & 0xC0 == 0
        and any(head[12:14])
        and any(head[14:16])
    )
