"""BMP files, checked for runs that unpack to too much."""

from __future__ import annotations

import struct

from records.images.essentials.base import Essentials
from records.images.rejection import ImageRejectedError
from records.text.formatting import pluralize

_OS2_HEADER_BYTES = 12
_RUN_LENGTH = {1, 2}
# Pillow appends up to 255 rows for one delta of four bytes.
_MAX_RUN_LENGTH_WIDTH = 1 << 16


def reduce(data: bytes) -> Essentials:
    """Return the file unchanged. Rejects run-length encoded images with very long rows."""
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes != _OS2_HEADER_BYTES:
        width, _, _, _, compression = struct.unpack_from("<iiHHI", data, 18)
        if compression in _RUN_LENGTH and width > _MAX_RUN_LENGTH_WIDTH:
            raise ImageRejectedError(
                "unsupported",
                f"run-length encoded BMP with rows of {pluralize(width, 'pixel')},"
                f" over {_MAX_RUN_LENGTH_WIDTH:,}",
            )
    return Essentials(data)
