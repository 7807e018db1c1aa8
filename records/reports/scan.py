"""Every record that a damaged TFRecord file still holds: read on past the damage.

After damage the next record is looked for: 12 bytes that are a length and the CRC that belongs to
it. A length is at most 1 GiB, so its upper four bytes are zero, and only such places are tried.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from records.framing import (
    FOOTER_BYTES,
    HEADER_BYTES,
    Frame,
    FrameError,
    check_payload,
    is_frame_header,
    payload_length,
    read_up_to,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK_BYTES = 16 << 20
_UPPER_LENGTH = bytes(4)
_UPPER_LENGTH_AT = 4


def scan_frames(stream: BinaryIO) -> Iterator[Frame | FrameError]:
    """The records of a stream in order, and a FrameError for each damaged stretch between them.

    One stretch is one error, however many records it destroyed; `record` numbers what is yielded.
    """
    source = _Source(stream)
    record = 0
    while header := source.take(HEADER_BYTES):
        offset = source.offset - len(header)
        body = b""
        try:
            length = payload_length(header, record=record, offset=offset)
            body = source.take(length + FOOTER_BYTES)
            yield Frame(offset, check_payload(body, length, record=record, offset=offset))
        except FrameError as error:
            yield error
            _find_next(source, header + body, error)
        record += 1


def _find_next(source: _Source, damaged: bytes, error: FrameError) -> None:
    """Go to the next record after `damaged`, which is what was read of a record."""
    following = source.take(HEADER_BYTES)
    source.put_back(following)
    only_payload_is_bad = error.kind == "payload-checksum" and (
        not following or is_frame_header(following)
    )
    if only_payload_is_bad:
        return
    source.put_back(damaged[1:])
    while block := source.take(_BLOCK_BYTES):
        place = _find_header(block)
        if place is not None:
            source.put_back(block[place:])
            return
        if len(block) < _BLOCK_BYTES:
            return
        source.put_back(block[1 - HEADER_BYTES :])  # a header may begin here and end behind it


def _find_header(block: bytes) -> int | None:
    """Where the first record's header begins in `block`."""
    zeros = block.find(_UPPER_LENGTH, _UPPER_LENGTH_AT)
    while zeros >= 0:
        place = zeros - _UPPER_LENGTH_AT
        if is_frame_header(block[place : place + HEADER_BYTES]):
            return place
        zeros = block.find(_UPPER_LENGTH, zeros + 1)
    return None


class _Source:
    """A stream with bytes put back; `offset` is where the next byte lies."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._ahead = io.BytesIO()
        self.offset = 0

    def take(self, size: int) -> bytes:
        data = self._ahead.read(size)
        if len(data) < size:
            data += read_up_to(self._stream, size - len(data))
        self.offset += len(data)
        return data

    def put_back(self, data: bytes) -> None:
        self._ahead = io.BytesIO(data + self._ahead.read())
        self.offset -= len(data)
