"""Samples of a TIFF page, in cases that Pillow reads wrongly."""

from __future__ import annotations

from PIL import ImagePalette, TiffImagePlugin

from records.images.rejection import ImageRejectedError

_BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _SAMPLES, _PLANAR = 258, 259, 262, 266, 277, 284
_COLOUR_MAP, _TILE_WIDTH, _INK_SET, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 320, 322, 332, 338, 339
_SUBSAMPLING = 530
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_COLOUR_PLANES = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3}
_UNCOMPRESSED, _ADOBE_DEFLATE = 1, 8
_SEPARATE_PLANES, _LOW_BIT_FIRST, _NOT_CMYK, _SIGNED = 2, 2, 2, 2
_EIGHT_BITS, _MAX_BYTE, _MAX_PLANES = 8, 255, 16


class TiffPicture(TiffImagePlugin.TiffImageFile):
    """A page whose samples are read by the rules of TIFF in cases that Pillow reads wrongly.

    Attributes:
        inverted: whether the loaded samples are a negative: white is zero.
    """

    inverted = False

    def _setup(self) -> None:
        tags = self.tag_v2
        self._require_readable()
        photometric = tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO)
        self.inverted = photometric == _WHITE_IS_ZERO and max(tags.get(_BITS, (1,))) > _EIGHT_BITS
        if self.inverted:  # Pillow inverts up to 8 bits only
            tags[_PHOTOMETRIC] = _BLACK_IS_ZERO
        if tags.get(_COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED and (
            photometric == _YCBCR
            or tags.get(_PLANAR) == _SEPARATE_PLANES
            or tags.get(_FILL_ORDER) == _LOW_BIT_FIRST
            or _TILE_WIDTH in tags
        ):
            # Pillow reads such samples wrongly (of 16 bits, one byte each); libtiff does not.
            # Pillow calls libtiff for any compression, and libtiff looks for it in the file.
            tags[_COMPRESSION] = _ADOBE_DEFLATE
        super()._setup()
        colour_map = tags.get(_COLOUR_MAP, ())
        if self.mode in {"P", "PA"} and max(colour_map) <= _MAX_BYTE:
            # Some programs write 8 bits where TIFF requires 16; libtiff has the same rule.
            self.palette = ImagePalette.raw("RGB;L", bytes(colour_map))

    def _require_readable(self) -> None:
        tags = self.tag_v2
        if _SIGNED in tags.get(_SAMPLE_FORMAT, ()):
            raise ImageRejectedError("unsupported", "signed samples are not taken")
        if tags.get(_INK_SET) == _NOT_CMYK:
            raise ImageRejectedError("unsupported", "inks other than CMYK are not taken")
        if tags.get(_PLANAR) == _SEPARATE_PLANES:
            self._require_known_planes()

    def _require_known_planes(self) -> None:
        tags = self.tag_v2
        photometric = tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO)
        if photometric == _YCBCR and max(tags.get(_SUBSAMPLING, (2, 2))) > 1:
            raise ImageRejectedError("unsupported", "planes of different sizes are not taken")
        more = tags.get(_SAMPLES, 1) - _COLOUR_PLANES.get(photometric, _MAX_PLANES)
        meanings = tags.get(_EXTRA_SAMPLES, ())
        if more > 0 and (not meanings or (more > 1 and any(meanings))):
            raise ImageRejectedError("unsupported", "planes that are neither colour nor alpha")
