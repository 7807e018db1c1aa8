"""Credentials: absent from all output and files, also after failures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from records.format import layout
from records.runtime.storage_patience import VARIABLE
from records.storage import open_storage
from tests.pipelines.pictures import make_folders
from tests.s3 import runs
from tests.s3.proxy import Fault, Proxy, always, running
from tests.s3.server import ACCESS_KEY, SECRET_KEY, S3Server

WRONG_KEY = "wrong/secret+that+no+output+may+show"
SECRETS = (ACCESS_KEY, SECRET_KEY, WRONG_KEY)
IN_CHILDREN = ("--", "--direct_running_mode=multi_processing", "--direct_num_workers=2")


@pytest.fixture
def photos(s3: str, tmp_path: Path) -> str:
    """Upload images to the bucket."""
    folder = make_folders(tmp_path / "photos", cat=6, dog=6)
    for path in folder.rglob("*.png"):
        name = path.relative_to(folder).as_posix()
        open_storage(f"{s3}/photos").replace(name, path.read_bytes())
    return f"{s3}/photos"


def output_of(environment: Mapping[str, str], *arguments: object, status: int) -> str:
    """Return the whole output of a command at its most verbose."""
    ended = runs.run({**environment, "PYTHONWARNINGS": "default"}, "--verbose", *arguments)
    assert ended.status == status, ended
    return ended.output + ended.errors


def stored(server: S3Server) -> bytes:
    """Return all names and contents that the server stores."""
    files = [path for path in server.buckets.rglob("*") if path.is_file()]
    names = "\n".join(map(str, files)).encode()
    return names + b"".join(path.read_bytes() for path in files)


def test_credentials_are_absent_from_all_output_and_files(
    photos: str, s3: str, server: S3Server, tmp_path: Path
) -> None:
    right = server.environment
    wrong = {**right, "AWS_SECRET_ACCESS_KEY": WRONG_KEY}
    data, local = f"{s3}/data", tmp_path / "data"
    output = [
        output_of(right, "convert", photos, data, "--test=0.4", "--json", status=0),
        output_of(right, "convert", photos, f"{s3}/2", "--test=0.4", *IN_CHILDREN, status=0),
        output_of(right, "convert", photos, local, "--test=0.4", "--dry-run", status=0),
        output_of(right, "convert", photos, local, "--test=0.4", status=0),
        output_of(right, "verify", data, "--json", status=0),
        output_of(right, "inspect", data, status=0),
        output_of(right, "verify", f"{s3}/no", status=66),
        output_of(wrong, "convert", photos, f"{s3}/3", status=66),
        output_of(wrong, "convert", tmp_path / "photos", f"{s3}/3", status=66),
        output_of(wrong, "verify", data, status=66),
    ]
    with running(Proxy(server.port, always(Fault(status=500)))) as proxy:
        broken = {**right, "AWS_ENDPOINT_URL": proxy.endpoint, VARIABLE: "2s"}
        output.append(output_of(broken, "convert", photos, f"{s3}/4", status=74))
    address = f"http://{ACCESS_KEY}:{SECRET_KEY}@[127.0.0.1"
    output.append(output_of({**right, "AWS_ENDPOINT_URL": address}, "verify", data, status=2))
    for secret in SECRETS:
        assert secret not in "\n".join(output)
        assert secret.encode() not in stored(server)
        assert not any(secret.encode() in path.read_bytes() for path in local.glob("**/*.*"))


def test_credentials_killed_run_leaves_none_in_work_folder(
    photos: str, s3: str, server: S3Server
) -> None:
    target = open_storage(f"{s3}/data")
    process = runs.start(server.environment, "convert", photos, target.url, *IN_CHILDREN)
    runs.wait_for(lambda: len(target.list(layout.WORK_FOLDER)) > 2, process)
    process.kill()
    process.communicate()
    assert target.list(layout.WORK_FOLDER)
    assert not any(secret.encode() in stored(server) for secret in SECRETS)


@pytest.mark.parametrize("argument", ["source", "output"])
def test_convert_url_with_password_is_refused_without_showing_it(
    photos: str, s3: str, server: S3Server, argument: str
) -> None:
    url = f"s3://{ACCESS_KEY}:{SECRET_KEY}@bucket/folder"
    pair = (url, f"{s3}/data") if argument == "source" else (photos, url)
    output = output_of(server.environment, "convert", *pair, status=2)
    assert "a user name or password" in output
    assert not any(secret in output for secret in SECRETS)
