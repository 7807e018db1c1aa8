"""Program that reads from an S3 server on this machine: `on_s3.py FOLDER DATASET PROGRAM …`.

The server stores its objects in FOLDER. DATASET is uploaded once. The server runs until PROGRAM
ends. The URL of the dataset replaces the argument `URL` of PROGRAM. Environment variables contain
the address and the keys of the server. For programs that read only over HTTP, they also contain the
presigned URLs of all objects.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config

from tests.s3.server import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server, find_server

_VALID_SECONDS = 3600


def main(folder: Path, dataset: Path, program: list[str]) -> int:
    """Serve the dataset while the program runs; return the exit code of the program."""
    binary = find_server()
    if binary is None:
        print("the S3 server is missing; build it with `make s3-server`", file=sys.stderr)
        return 1
    server = S3Server(binary, folder)
    server.start()
    try:
        keys = upload(server.client(), dataset)
        environ = os.environ | server.environment
        environ["AWS_DEFAULT_REGION"] = environ["AWS_REGION"]
        environ["S3_ENDPOINT_URL"] = server.endpoint  # for MosaicML
        environ["PRESIGNED_URLS"] = "\n".join(presign(server, keys))
        url = f"s3://{BUCKET}/{dataset.name}"
        command = [url if argument == "URL" else argument for argument in program]
        return subprocess.run(command, env=environ, check=False).returncode
    finally:
        server.stop()


def upload(client: Any, dataset: Path) -> list[str]:
    """Upload all files unless the object of the last file exists; return the keys."""
    files = sorted(path for path in dataset.rglob("*") if path.is_file())
    keys = [f"{dataset.name}/{path.relative_to(dataset)}" for path in files]
    if BUCKET not in [each["Name"] for each in client.list_buckets().get("Buckets", [])]:
        client.create_bucket(Bucket=BUCKET)
    found = client.list_objects_v2(Bucket=BUCKET, Prefix=keys[-1]).get("KeyCount", 0)
    for path, key in zip(files, keys, strict=True) if not found else ():
        client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
    return keys


def presign(server: S3Server, keys: list[str]) -> list[str]:
    """Return URLs that read objects without keys for an hour."""
    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        config=Config(signature_version="s3v4"),  # the server supports no older one
    )
    wheres = [{"Bucket": BUCKET, "Key": key} for key in keys]
    return [
        client.generate_presigned_url("get_object", where, ExpiresIn=_VALID_SECONDS)
        for where in wheres
    ]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
