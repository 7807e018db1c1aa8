"""Stubbed S3 responses, translated to errors of one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from botocore.exceptions import (
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    SSOTokenLoadError,
)
from botocore.stub import Stubber

from records.errors import (
    AccessDeniedError,
    InputNotFoundError,
    OutputError,
    RefusedReadError,
    ShardmillError,
    StorageError,
    UsageError,
)
from records.runtime.extras import install_command
from records.storage import open_storage, write_file
from records.storage.objects import open_object_storage, split_url
from records.storage.objects.s3 import S3Client, connect, disconnect
from records.storage.objects.storage import ObjectStorage
from records.storage.remote.patience import Patience, forget_outages

NAMES = ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide the configuration of this machine; no server is contacted."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    forget_outages()
    disconnect()
    yield
    disconnect()


@pytest.fixture
def _signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture
def storage() -> ObjectStorage:
    return open_object_storage("s3://photos/data/", patience_seconds=0)


def respond(operation: str, status: int, code: str) -> Stubber:
    stubber = Stubber(connect())
    stubber.add_client_error(operation, service_error_code=code, http_status_code=status)
    return stubber


@pytest.mark.parametrize(
    ("status", "code", "kind", "message"),
    [
        (404, "NoSuchBucket", InputNotFoundError, "s3://photos: the bucket does not exist"),
        (401, "401", AccessDeniedError, "access is denied, got 401; check the credentials"),
        (403, "AccessDenied", AccessDeniedError, "access is denied, got 403 AccessDenied; check"),
        (403, "403", AccessDeniedError, "access is denied, got 403; check the credentials"),
        (400, "ExpiredToken", AccessDeniedError, "access is denied, got 400 ExpiredToken; check"),
        (301, "PermanentRedirect", RefusedReadError, "301 PermanentRedirect; set AWS_DEFAULT_REG"),
        (400, "400", RefusedReadError, "got 400; set AWS_DEFAULT_REGION to the region of the"),
        (301, "301", RefusedReadError, "got 301; set AWS_DEFAULT_REGION to the region of the"),
        (400, "InvalidRequest", RefusedReadError, "refused a request, got 400 InvalidRequest"),
        (405, "MethodNotAllowed", RefusedReadError, "refused a request, got 405 MethodNotAllowed"),
        (500, "InternalError", StorageError, "storage failed after retries, got 500"),
        (503, "SlowDown", StorageError, "storage failed after retries, got 503 SlowDown"),
    ],
)
@pytest.mark.usefixtures("_signed")
def test_s3_read_error_response_maps_to_one_line_error(
    storage: ObjectStorage, status: int, code: str, kind: type[ShardmillError], message: str
) -> None:
    with respond("get_object", status, code), pytest.raises(kind) as found:
        storage.read("a")
    assert message in str(found.value)
    assert "\n" not in str(found.value)
    assert found.value.exit_code == (74 if status >= 500 else 66)  # schedulers retry 74 only


@pytest.mark.parametrize(
    ("status", "code", "kind", "message"),
    [
        (404, "NoSuchBucket", OutputError, "s3://photos: the bucket does not exist"),
        (400, "ExpiredToken", OutputError, "access is denied, got 400 ExpiredToken; check the"),
        (403, "AccessDenied", OutputError, "s3://photos/data/a: access is denied, got 403"),
        (400, "InvalidStorageClass", OutputError, "refused a request, got 400 InvalidStorageClass"),
        (501, "NotImplemented", OutputError, "does not support conditional writes"),
        (503, "SlowDown", StorageError, "storage failed after retries, got 503 SlowDown"),
    ],
)
@pytest.mark.usefixtures("_signed")
def test_s3_write_error_response_maps_to_error(
    storage: ObjectStorage, status: int, code: str, kind: type[ShardmillError], message: str
) -> None:
    with respond("put_object", status, code), pytest.raises(kind) as found:
        write_file(storage, "a", b"x")
    assert message in str(found.value)


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("ExpiredToken", AccessDeniedError, "access is denied, got 400 ExpiredToken; check"),
        ("InvalidRequest", RefusedReadError, "refused a request, got 400 InvalidRequest"),
        ("400", RefusedReadError, "got 400; set AWS_DEFAULT_REGION to the region of the bucket"),
    ],
)
@pytest.mark.usefixtures("_signed")
def test_s3_refused_head_has_the_reason_of_a_get(
    storage: ObjectStorage, code: str, kind: type[ShardmillError], message: str
) -> None:
    with respond("head_object", 400, "400") as stubber:
        stubber.add_client_error("get_object", service_error_code=code, http_status_code=400)
        with pytest.raises(kind) as found:
            storage.stat("a")
    assert message in str(found.value)
    assert type(found.value) is kind


@pytest.mark.usefixtures("_signed")
def test_s3_put_conflict_is_retried() -> None:
    storage = open_object_storage("s3://photos/data", patience_seconds=60)
    with respond("put_object", 409, "ConditionalRequestConflict") as stubber:
        stubber.add_response("put_object", {"ETag": '"1"'})
        assert storage.put_if_absent("a", b"x") == '"1"'


@pytest.mark.usefixtures("_signed")
@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("get_object", {"Key": "a"}),
        ("head_object", {"Key": "a"}),
        ("put_object", {"Key": "a"}),
        ("list_objects_v2", {}),
    ],
)
def test_s3_response_without_required_fields_raises_storage_error(
    operation: str, parameters: dict[str, str]
) -> None:
    client = S3Client("photos", Patience("s3://photos", 0))
    with Stubber(connect()) as stubber:
        stubber.add_response(operation, {})
        with pytest.raises(StorageError, match="after retries, got a response without"):
            client.request(operation, "a" if parameters else "")


def test_s3_access_denied_without_credentials_has_profile_hint(storage: ObjectStorage) -> None:
    with (
        respond("get_object", 403, "AccessDenied"),
        pytest.raises(AccessDeniedError, match="no credentials were found: set AWS_PROFILE"),
    ):
        storage.read("a")


@pytest.mark.usefixtures("_signed")
@pytest.mark.parametrize(
    ("error", "message", "exit_code"),
    [
        (EndpointConnectionError(endpoint_url="http://a:secret@host"), "does not respond", 74),
        (CredentialRetrievalError(provider="a", error_msg="secret"), "does not respond", 74),
        (NoCredentialsError(), "credentials are missing; no credentials were found", 66),
        (SSOTokenLoadError(error_msg="secret"), "have expired; run `aws sso login`", 66),
    ],
)
def test_s3_connection_error_raises_storage_error_without_secrets(
    storage: ObjectStorage,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    message: str,
    exit_code: int,
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(connect(), "get_object", fail)
    with pytest.raises(StorageError, match=message) as found:
        storage.read("a")
    assert found.value.exit_code == exit_code
    assert "secret" not in str(found.value)


@pytest.mark.usefixtures("_signed")
@pytest.mark.parametrize("error", [NoCredentialsError(), SSOTokenLoadError(error_msg="secret")])
def test_s3_write_without_credentials_raises_output_error(
    storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(connect(), "put_object", fail)
    with pytest.raises(OutputError, match=r"credentials (are missing|have expired)"):
        storage.replace("a", b"")


@pytest.mark.parametrize("address", ["host:80", "http://user:secret@[host"])
def test_s3_invalid_endpoint_url_raises_usage_error_without_secrets(
    storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    with pytest.raises(UsageError, match="the address of the S3 server is not a URL") as found:
        storage.read("a")
    assert found.value.__cause__ is None
    assert "secret" not in str(found.value)


def test_s3_unknown_aws_profile_raises_usage_error(
    storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nosuch")
    with pytest.raises(UsageError, match=r"profile \(nosuch\) could not be found"):
        storage.read("a")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://photos", ("photos", "")),
        ("s3://photos/", ("photos", "")),
        ("s3://my.photos-1/a/b//", ("my.photos-1", "a/b")),
        ("s3://photos/a?b#c@d:e", ("photos", "a?b#c@d:e")),
    ],
)
def test_s3_split_url_returns_bucket_and_prefix(url: str, expected: tuple[str, str]) -> None:
    assert split_url(url) == expected


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///a", "s3://key:secret@photos/a", "s3://key:sec/ret@photos", "s3://-a/b"]
)
def test_s3_invalid_url_raises_usage_error_without_showing_url(url: str) -> None:
    with pytest.raises(UsageError, match="expected s3://BUCKET/FOLDER") as found:
        open_storage(url)
    assert "sec" not in str(found.value)
    assert found.value.exit_code == 2


@pytest.mark.parametrize(
    ("url", "package", "module", "extra"),
    [
        ("s3://photos/a", "botocore", "s3", "s3"),
        ("gs://photos/a", "google.auth", "gcs", "gcs"),
        ("az://photos/a", "azure", "azure", "azure"),
    ],
)
def test_open_storage_missing_package_raises_usage_error_with_extra(
    monkeypatch: pytest.MonkeyPatch, url: str, package: str, module: str, extra: str
) -> None:
    ours = f"records.storage.objects.{module}"
    for name in [name for name in sys.modules if name.startswith((ours, package))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match="a package that is not installed") as found:
        open_storage(url)
    assert install_command(extra) in str(found.value)
