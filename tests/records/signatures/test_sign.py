"""A signature covers every byte of the dataset, and is one of the in-toto standard."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
import xxhash
from click.testing import CliRunner

import shardmill as sm
from records.cli.verify import verify
from records.errors import (
    CorruptDataError,
    InputNotFoundError,
    LockedError,
    OutputError,
    UsageError,
)
from records.format.layout import LABELS, SIGNATURE
from records.signatures import read_public_key, read_signed_statement
from records.signatures.keys import PASSWORD
from records.storage import open_storage
from records.storage.ownership import record_hash
from tests.keys import write_keys
from tests.pipelines.pictures import make_file, make_folders, make_picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return write_keys(tmp_path)


@pytest.fixture
def data(build_dataset: Callable[..., Path], key: Path) -> Path:
    folder = build_dataset()
    sm.sign(folder, key=key)
    return folder


def findings(folder: Path | str, key: Path) -> list[tuple[str, str]]:
    found = sm.verify(folder, key=key.with_suffix(".pub"))
    return [(finding.kind, finding.detail) for finding in found]


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def read_payload(folder: Path) -> dict[str, Any]:
    envelope = json.loads((folder / SIGNATURE).read_bytes())
    payload: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))
    return payload


def test_sign_then_verify_has_no_findings(data: Path, key: Path) -> None:
    assert findings(data, key) == []
    assert not (data / ".shardmill").exists()


def test_verify_changed_file_that_a_run_has_recorded_has_a_finding(data: Path, key: Path) -> None:
    """The record is a file in the dataset: it proves nothing about the other one."""
    labels = data / LABELS
    labels.write_bytes(labels.read_bytes().replace(b"0:", b"0:other "))
    record_hash(open_storage(data), LABELS, xxhash.xxh3_128_hexdigest(labels.read_bytes()))
    assert list(sm.verify(data)) == []
    assert [kind for kind, _ in findings(data, key)] == ["labels"]


def test_verify_present_generation_by_its_number_checks_every_file(data: Path, key: Path) -> None:
    assert findings(f"{data}@1", key) == []
    (data / LABELS).write_bytes(b"0:other\n")
    assert [kind for kind, _ in findings(f"{data}@1", key)] == ["labels"]


def test_sign_while_another_process_writes_is_refused(data: Path, key: Path) -> None:
    before = (data / SIGNATURE).read_bytes()
    with open_storage(data).lock(), pytest.raises(LockedError):
        sm.sign(data, key=key)
    assert (data / SIGNATURE).read_bytes() == before


def test_sign_leaves_no_work_folder(data: Path) -> None:
    assert not (data / ".shardmill").exists()


def test_verify_one_flipped_bit_of_any_file_has_a_finding(data: Path, key: Path) -> None:
    for path in sorted(path for path in data.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if not content:
            continue
        for place in (0, len(content) // 3, len(content) - 2):
            flip(path, place)
            assert findings(data, key), (path, place)
        path.write_bytes(content)
    assert findings(data, key) == []


def test_read_signature_with_any_flipped_bit_is_an_error(data: Path, key: Path) -> None:
    content = (data / SIGNATURE).read_bytes()
    public = read_public_key(str(key.with_suffix(".pub")))
    assert read_signed_statement(content, public, path=SIGNATURE).subject
    for bit in range(0, 8 * len(content), 37):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptDataError):
            read_signed_statement(bytes(changed), public, path=SIGNATURE)


def test_verify_changed_shard_with_the_same_xxh3_has_a_finding(
    data: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hash that is not cryptographic does not detect a deliberate change."""
    from records.verification import shard

    changed = next(data.glob("train-*.tfrecord"))
    monkeypatch.setattr(shard, "read_skipping_damage", lambda *_: iter(()))
    monkeypatch.setattr(shard, "_check_totals", lambda *_: iter(()))
    flip(changed, 99)
    found = list(sm.verify(data, processes=1, key=key.with_suffix(".pub")))
    assert ("checksum", changed.name) in {(finding.kind, finding.file) for finding in found}


def test_verify_signature_by_another_key_is_a_finding(data: Path, tmp_path: Path) -> None:
    other = write_keys(tmp_path, "other")
    assert findings(data, other) == [
        ("signature", "no signature in the file is valid for this key")
    ]
    report = sm.sign(data, key=other)
    assert report.keys == 2
    assert findings(data, other) == findings(data, tmp_path / "key.pem") == []


@pytest.mark.parametrize("content", [b"", b"{}", b'{"payload": 3}', b"\xff", b"[" * 99999])
def test_verify_damaged_signature_is_a_finding(data: Path, key: Path, content: bytes) -> None:
    (data / SIGNATURE).write_bytes(content)
    [(kind, _)] = findings(data, key)
    assert kind == "signature"


def test_verify_unsigned_dataset_is_a_finding(data: Path, key: Path) -> None:
    (data / SIGNATURE).unlink()
    assert findings(data, key) == [("signature", "file not found")]
    assert list(sm.verify(data)) == []
    public = str(key.with_suffix(".pub"))
    result = CliRunner().invoke(verify, [str(data), "--signature", "--key", public, "--json"])
    assert '"signature"' in result.output
    assert "repair" not in result.output


def test_verify_signature_of_an_earlier_generation_names_it(tmp_path: Path, key: Path) -> None:
    source, data = make_folders(tmp_path / "photos", cat=5, dog=4), tmp_path / "data"
    sm.convert(source, data)
    sm.sign(data, key=key)
    make_file(source, "cat/new.png", make_picture(900))
    sm.append(source, data)
    assert findings(data, key) == [
        ("signature", "the signature is that of generation 1, not of generation 2")
    ]
    assert findings(f"{data}@1", key) == []
    assert sm.sign(data, key=key).keys == 1
    assert findings(data, key) == []
    predicate = read_payload(data)["predicate"]
    definition = predicate["buildDefinition"]
    assert definition["externalParameters"]["command"] == "convert --append"
    assert definition["resolvedDependencies"] == [{"uri": source.as_uri()}]
    assert predicate["runDetails"]["metadata"]["finishedOn"].endswith("Z")


def test_statement_subjects_are_the_files_of_the_dataset(data: Path) -> None:
    payload = read_payload(data)
    assert payload["_type"] == "https://in-toto.io/Statement/v1"
    assert payload["predicateType"] == "https://slsa.dev/provenance/v1"
    signed = {each["name"]: each["digest"]["sha256"] for each in payload["subject"]}
    names = {path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()}
    assert signed == {
        name: hashlib.sha256((data / name).read_bytes()).hexdigest() for name in names - {SIGNATURE}
    }


def test_signature_is_verified_by_another_implementation(data: Path, key: Path) -> None:
    dsse = pytest.importorskip("securesystemslib.dsse", reason="needs shardmill[dev]")
    signer = pytest.importorskip("securesystemslib.signer")
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = json.loads((data / SIGNATURE).read_bytes())
    public = load_pem_public_key(key.with_suffix(".pub").read_bytes())
    theirs = signer.SSlibKey.from_crypto(public, keyid=content["signatures"][0]["keyid"])
    envelope = dsse.Envelope.from_dict(content)
    assert envelope.verify([theirs], 1)
    envelope.payload += b" "
    with pytest.raises(Exception, match="Accepted signatures do not match threshold"):
        envelope.verify([theirs], 1)


def test_sign_key_with_password_needs_the_variable(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = write_keys(tmp_path, "locked", password=b"sesame")
    monkeypatch.delenv(PASSWORD, raising=False)
    with pytest.raises(UsageError, match=f"the private key has a password; set {PASSWORD}"):
        sm.sign(data, key=locked)
    monkeypatch.setenv(PASSWORD, "another")
    with pytest.raises(UsageError, match=f"Incorrect password.*; set {PASSWORD} to the password"):
        sm.sign(data, key=locked)
    monkeypatch.setenv(PASSWORD, "sesame")
    sm.sign(data, key=locked)
    assert findings(data, locked) == []


def test_sign_key_that_others_can_read_is_noted(
    data: Path, key: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key.chmod(0o640)
    with caplog.at_level("INFO", logger="shardmill"):
        sm.sign(data, key=key)
    assert f"run `chmod 600 {key}`" in caplog.text


def test_sign_with_what_is_no_private_key_is_an_error(data: Path, key: Path) -> None:
    before = (data / SIGNATURE).read_bytes()
    with pytest.raises(UsageError, match=r"this is not a private key of .*`openssl genpkey"):
        sm.sign(data, key=key.with_suffix(".pub"))
    with pytest.raises(InputNotFoundError, match="key not found"):
        sm.sign(data, key="missing.pem")
    with pytest.raises(UsageError, match="got a private key; write the public key with"):
        list(sm.verify(data, key=key))
    assert (data / SIGNATURE).read_bytes() == before


def test_key_on_an_unknown_curve_is_an_error(data: Path, tmp_path: Path) -> None:
    body = "MDIwEAYHKoZIzj0CAQYFK4EEAAYDHgAEkBh5DvqB2+SkE2w1jJ28FYvK6w5ggfiycjEgqg=="
    pem = f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"
    (tmp_path / "other.pem").write_text(pem)
    with pytest.raises(UsageError, match=r"this is not a public key .*, got Curve .* is not"):
        list(sm.verify(data, key=tmp_path / "other.pem"))


def test_sign_keeps_a_file_of_the_user(data: Path, key: Path) -> None:
    (data / SIGNATURE).write_text("mine")
    with pytest.raises(OutputError, match="shardmill did not write this file"):
        sm.sign(data, key=key)
    assert (data / SIGNATURE).read_text() == "mine"
    assert not (data / ".shardmill").exists()


def test_verify_file_with_key_is_an_error(data: Path, key: Path) -> None:
    with pytest.raises(UsageError, match="a file has no signature"):
        list(sm.verify(next(data.glob("*.tfrecord")), key=key.with_suffix(".pub")))
