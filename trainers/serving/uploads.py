"""Bodies of requests, read with limits on size, time and memory."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from records.text.escaping import escape_surrogates
from records.text.formatting import format_bytes
from trainers.serving.errors import RequestError, busy, invalid

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from starlette.requests import Request

    from trainers.serving.limits import Limits

BODY = "body"
"""The name of an image that is the complete body of a request."""

_FORM = "multipart/form-data"
_CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii"}
"""Other codecs of Python take quadratic time, or raise other errors."""
_PARSED_BYTES = 1 << 18
_MAX_FIELDS = 16
_IN_MEMORY = 1 << 62
_DIGITS = 18
_MOST_SHOWN = 100


class Upload(NamedTuple):
    """An image file of a request."""

    name: str
    content: bytes


class _FormParser(MultiPartParser):
    spool_max_size = _IN_MEMORY  # the body is in memory, and its parts are never written to disk


class Uploads:
    """The bodies of all requests, which share one limit on memory."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held_bytes = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the body of a request; it counts as memory in use until the block ends.

        Raises:
            ClientDisconnect: the client has closed the connection.
            RequestError: the body is too large, arrives too slowly, or has no memory.
        """
        chunks: list[bytes] = []
        try:
            try:
                async with asyncio.timeout(self._limits.upload_seconds):
                    await self._collect(request, chunks)
            except TimeoutError:
                raise RequestError(
                    "too-slow",
                    HTTPStatus.REQUEST_TIMEOUT,
                    "the upload took too long",
                    expected=f"at most {self._limits.upload_seconds:g} s",
                ) from None
            yield b"".join(chunks)
        finally:
            self._held_bytes -= sum(map(len, chunks))

    async def _collect(self, request: Request, chunks: list[bytes]) -> None:
        size_bytes = 0
        self._require_size(_declared_bytes(request))
        async for chunk in request.stream():
            size_bytes += len(chunk)
            self._require_size(size_bytes)
            if self._held_bytes + len(chunk) > self._limits.max_held_bytes:
                raise busy("too many uploads at the same time")
            self._held_bytes += len(chunk)
            chunks.append(chunk)

    def _require_size(self, size_bytes: int) -> None:
        if size_bytes > self._limits.max_upload_bytes:
            raise RequestError(
                "too-large",
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "the upload is too large",
                expected=f"at most {format_bytes(self._limits.max_upload_bytes)}",
            )


def _declared_bytes(request: Request) -> int:
    declared = request.headers.get("content-length", "")[:_DIGITS]
    return int(declared) if declared.isdecimal() else 0  # received bytes are counted, too


async def find_images(request: Request, body: bytes, *, limit: int) -> list[Upload]:
    """Return the image files in the body of a request: the body itself, or the files of a form.

    Args:
        request: the request.
        body: its body.
        limit: the maximum number of files.

    Raises:
        RequestError: the body is an invalid form, or JSON.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        raise RequestError(
            "invalid",
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "the body is JSON",
            expected="an image file, or a form with files",
            hint="send JSON to /v2/models/NAME/infer",
        )
    if kind != _FORM:
        return [Upload(BODY, body)]
    _require_charset(request)
    parser = _FormParser(request.headers, _pieces(body), max_files=limit, max_fields=_MAX_FIELDS)
    try:
        form = await parser.parse()
    except (MultiPartException, FormParserError) as error:
        raise invalid("the form is invalid", got=getattr(error, "message", error)) from error
    parts = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
    if not parts:
        raise invalid("the form contains no file", expected="at least one part with a file name")
    return [Upload(escape_surrogates(part.filename or ""), await part.read()) for part in parts]


def _require_charset(request: Request) -> None:
    """Check the charset of a form. Raises RequestError."""
    _, options = parse_options_header(request.headers["content-type"])
    charset = options.get(b"charset", b"utf-8").decode("latin-1").lower()
    if charset not in _CHARSETS:
        raise invalid(
            "the form has an unsupported charset", expected="utf-8", got=charset[:_MOST_SHOWN]
        )


async def _pieces(body: bytes) -> AsyncGenerator[bytes, None]:
    """Yield a body in pieces, and let other requests proceed between them."""
    for start in range(0, len(body), _PARSED_BYTES):
        yield body[start : start + _PARSED_BYTES]
        await asyncio.sleep(0)
