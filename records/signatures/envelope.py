"""Envelope of a signed statement: DSSE, one JSON object in one line.

DSSE (Dead Simple Signing Envelope) is the envelope of in-toto and Sigstore. A signature covers the
payload and its type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from records.errors import CorruptDataError
from records.runtime.extras import require_extra
from records.signatures.keys import make_key_id
from records.signatures.statement import Statement, decode_statement
from records.strict_json import decode_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

PAYLOAD_TYPE = "application/vnd.in-toto+json"


class Signature(msgspec.Struct, frozen=True):
    """A signature, in Base64, and the ID of its key; see `make_key_id`."""

    sig: bytes
    keyid: str


class Envelope(msgspec.Struct, frozen=True):
    """A payload, in Base64, and its signatures, one per key."""

    payload: bytes
    payload_type: str = msgspec.field(name="payloadType")
    signatures: tuple[Signature, ...]


def sign_payload(payload: bytes, key: Ed25519PrivateKey, previous: Envelope | None) -> Envelope:
    """Return the envelope of a statement, with the signature of a key.

    Args:
        payload: the statement.
        key: the private key.
        previous: an envelope whose signatures by other keys are kept if it has the same payload.
    """
    key_id = make_key_id(key.public_key())
    others: tuple[Signature, ...] = ()
    if previous is not None and previous.payload == payload:
        others = tuple(each for each in previous.signatures if each.keyid != key_id)
    own = Signature(key.sign(_encode_for_signing(payload, PAYLOAD_TYPE)), key_id)
    return Envelope(payload, PAYLOAD_TYPE, (*others, own))


def encode_envelope(envelope: Envelope) -> bytes:
    """Return an envelope as one line of JSON."""
    return msgspec.json.encode(envelope, order="sorted") + b"\n"


def decode_envelope(content: bytes, *, path: str) -> Envelope:
    """Return the envelope in a file. Raises CorruptDataError, with `path`."""
    try:
        envelope = decode_json(content, Envelope)
    except msgspec.DecodeError as error:
        raise CorruptDataError("this is not a signature", path=path, got=str(error)) from error
    if envelope.payload_type != PAYLOAD_TYPE:
        raise CorruptDataError(
            "this is not a signature of a statement",
            path=path,
            expected=PAYLOAD_TYPE,
            got=envelope.payload_type,
        )
    if content != encode_envelope(envelope):  # Base64 and JSON have several forms of one value
        raise CorruptDataError("the signature was changed after it was written", path=path)
    return envelope


def read_signed_statement(content: bytes, key: Ed25519PublicKey, *, path: str) -> Statement:
    """Return the statement in a file if a key has signed it.

    Args:
        content: the content of the file.
        key: the public key.
        path: the file, for messages.

    Raises:
        CorruptDataError: the file is damaged, or the key has not signed exactly this statement.
    """
    envelope = decode_envelope(content, path=path)
    key_id = make_key_id(key)
    own = [each for each in envelope.signatures if each.keyid == key_id]
    if not any(_is_valid(signature, envelope, key) for signature in own):
        raise CorruptDataError("no signature in the file is valid for this key", path=path)
    return decode_statement(envelope.payload, path=path)


def _is_valid(signature: Signature, envelope: Envelope, key: Ed25519PublicKey) -> bool:
    exceptions = require_extra("cryptography.exceptions", "sign")
    try:
        key.verify(signature.sig, _encode_for_signing(envelope.payload, envelope.payload_type))
    except exceptions.InvalidSignature:
        return False
    return True


def _encode_for_signing(payload: bytes, payload_type: str) -> bytes:
    """Return the bytes that are signed: the pre-authentication encoding of DSSE."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
