"""Credentials of Google Cloud that cannot be used, or cannot be obtained now."""

from __future__ import annotations

import pytest

from records.errors import StorageError
from records.storage.objects import open_object_storage
from records.storage.remote.patience import forget_outages

auth_errors = pytest.importorskip("google.auth.exceptions")


def refresh_error(cause: Exception | None) -> Exception:
    error: Exception = auth_errors.RefreshError("secret")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "exit_code", "message"),
    [
        (refresh_error(None), 66, "the credentials cannot be used, got RefreshError; check"),
        (refresh_error(auth_errors.TransportError()), 74, "does not respond"),
        (auth_errors.RefreshError("secret", retryable=True), 74, "does not respond"),
    ],
)
def test_gcs_credentials_error_is_permanent_unless_identity_server_is_away(
    monkeypatch: pytest.MonkeyPatch, error: Exception, exit_code: int, message: str
) -> None:
    from records.storage.objects import gcs

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://localhost:1")
    gcs.disconnect()
    forget_outages()
    monkeypatch.setattr(gcs.connect(), "urlopen", fail)
    with pytest.raises(StorageError, match=message) as found:
        open_object_storage("gs://photos/data", patience_seconds=0).read("a")
    gcs.disconnect()
    assert found.value.exit_code == exit_code
    assert "secret" not in str(found.value)
