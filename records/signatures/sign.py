"""Signing of a dataset: `dataset.intoto.jsonl`."""

from __future__ import annotations

import os

import msgspec

from records.arguments import check_arguments
from records.errors import CorruptDataError
from records.format.layout import SIGNATURE
from records.format.manifest import read_manifest
from records.generations import read_provenance, require_whole_dataset
from records.signatures.envelope import (
    Envelope,
    decode_envelope,
    encode_envelope,
    sign_payload,
)
from records.signatures.keys import make_key_id, read_private_key
from records.signatures.statement import decode_statement, make_statement
from records.storage import Storage, open_storage
from records.storage.ownership import foreign_file
from records.storage.work_folder import remove_rest
from records.text.formatting import pluralize


class SignReport(msgspec.Struct, frozen=True):
    """The result of `sign`.

    Attributes:
        dataset: the path or URL of the dataset.
        generation: the number of the signed generation.
        signature: the name of the file with the signature.
        files: the number of files that the signature covers.
        key_id: the ID of the key: the SHA-256 of the public key.
        keys: the number of keys that have signed this generation.
    """

    dataset: str
    generation: int
    signature: str
    files: int
    key_id: str
    keys: int

    def lines(self) -> list[str]:
        """Return the report as text, one string per line."""
        files, keys = pluralize(self.files, "file"), pluralize(self.keys, "key")
        place = f"{self.dataset}: {self.signature}"
        return [f"{place}: generation {self.generation}, {files}, signed by {keys}"]

    def __repr__(self) -> str:
        return "\n".join(self.lines())


@check_arguments
def sign(dataset: str | os.PathLike[str], *, key: str | os.PathLike[str]) -> SignReport:
    """Sign the present generation of a dataset.

        sm.sign("data", key="key.pem")

    The signature covers the hashes of all files that the manifest lists; the files are not read. A
    signature of an earlier generation is replaced. A signature of this generation by another key is
    kept.

    Args:
        dataset: the path or URL of the dataset.
        key: the path of a private Ed25519 key in PEM. If it has a password, this is the value of
            SHARDMILL_KEY_PASSWORD.

    Raises:
        InputNotFoundError: there is no finished dataset, or the key does not exist.
        UsageError: the file is not a private key, its password is missing or wrong, `dataset` names
            a generation, or the extra `sign` is not installed.
        CorruptDataError: the manifest is damaged.
        OutputError: the folder cannot be written to, or a file of the user has the name of the
            signature.
        LockedError: another process is writing to the dataset.
        StorageError: storage failed after retries.
    """
    folder = os.fspath(dataset)
    require_whole_dataset(folder)
    storage = open_storage(folder)
    # An error leaves no lock behind.
    read_manifest(storage)
    _read_previous(storage)
    private = read_private_key(os.fspath(key))
    with storage.lock() as lock:
        manifest = read_manifest(storage)
        number = manifest.generations[-1].number
        payload = make_statement(manifest, read_provenance(storage, number))
        envelope = sign_payload(payload, private, _read_previous(storage))
        lock.ensure_held()
        storage.replace(SIGNATURE, encode_envelope(envelope))
        remove_rest(storage)
    return SignReport(
        dataset=storage.url,
        generation=number,
        signature=SIGNATURE,
        files=len(decode_statement(payload, path=storage.url).subject),
        key_id=make_key_id(private.public_key()),
        keys=len(envelope.signatures),
    )


def _read_previous(storage: Storage) -> Envelope | None:
    """Return the envelope in the dataset; None if there is none.

    Raises OutputError if the file is not an envelope: it belongs to the user.
    """
    try:
        return decode_envelope(storage.read(SIGNATURE), path=SIGNATURE)
    except FileNotFoundError:
        return None
    except CorruptDataError as error:  # also a folder, or a link that leads out of the dataset
        raise foreign_file(storage, SIGNATURE) from error
