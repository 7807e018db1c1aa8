"""Signatures of datasets: in-toto statements in DSSE envelopes."""

from records.signatures.envelope import read_signed_statement
from records.signatures.keys import read_public_key
from records.signatures.sign import SignReport, sign
from records.signatures.statement import Statement, is_of, read_generation_number

__all__ = [
    "SignReport",
    "Statement",
    "is_of",
    "read_generation_number",
    "read_public_key",
    "read_signed_statement",
    "sign",
]
