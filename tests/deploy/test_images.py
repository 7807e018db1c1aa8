"""Container images: pinned and small; built by Docker or, without a daemon, in a chroot."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from records import open_dataset, verify
from tests.deploy.conftest import DEPLOY, ROOT
from tests.deploy.dockerfile import Builder, Built, parse_dockerfile
from tests.pipelines.pictures import make_folders

IMAGES = DEPLOY / "images"
STAGES = parse_dockerfile((IMAGES / "Dockerfile").read_text())
NAMES = ("convert", "train")
MOST_MEGABYTES = {"convert": 400, "train": 3_000}
_PINNED = re.compile(r"^([a-z0-9-]+)==([^ ;]+)", re.MULTILINE)


def packages(path: Path) -> dict[str, str]:
    """Return the versions in a lock file; a package with several versions has the last."""
    return dict(_PINNED.findall(path.read_text()))


def test_base_images_are_pinned_by_digest_and_last_stage_has_a_user_without_privileges() -> None:
    names = {stage.name for stage in STAGES}
    bases = [stage.base for stage in STAGES if stage.base not in names]
    assert bases
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", base) for base in bases)
    users = [step.arguments for step in STAGES[-1].steps if step.instruction == "USER"]
    assert users == ["65532:65532"]
    assert len(STAGES) > 2


@pytest.mark.parametrize("name", NAMES)
def test_image_lock_has_versions_and_hashes_of_requirements_lock(name: str) -> None:
    text = (IMAGES / f"{name}.lock").read_text()
    found, all_packages = packages(IMAGES / f"{name}.lock"), packages(ROOT / "requirements.lock")
    assert found
    assert {package: all_packages[package] for package in found} == found
    hashes = {
        each: set(re.findall(rf"^{each}==.*\n((?: .*\n?)+)", text, re.MULTILINE)) for each in found
    }
    assert all("--hash=sha256:" in "".join(each) for each in hashes.values())


def test_convert_image_has_neither_tensorflow_nor_beam() -> None:
    convert, train = (packages(IMAGES / f"{name}.lock") for name in NAMES)
    frameworks = {"tensorflow", "keras", "apache-beam", "grpcio", "matplotlib"}
    assert not frameworks & set(convert)
    assert frameworks | set(convert) <= set(train)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("@sha256:", "@sha1:"), "a base image has no digest, got python:3"),
        (("FROM base AS build", "FROM python:latest AS build"), "no digest, got python:latest"),
        (("", ""), "expected one wheel in dist/, got 0"),
    ],
)
def test_build_script_refuses_base_without_digest_and_missing_wheel(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    folder = tmp_path / "deploy/images"
    shutil.copytree(IMAGES, folder)
    text = (IMAGES / "Dockerfile").read_text()
    (folder / "Dockerfile").write_text(text.replace(*change) if change[0] else text)
    ended = subprocess.run(
        [folder / "build.sh"], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert message in ended.stderr


def test_dockerfile_with_unknown_instruction_is_not_parsed() -> None:
    with pytest.raises(ValueError, match="ADD"):
        parse_dockerfile("FROM a\nADD https://example.com/x /x\n")


@pytest.fixture(scope="session")
def wheel_context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a build context with a new wheel."""
    folder = tmp_path_factory.mktemp("context")
    shutil.copytree(IMAGES, folder / "deploy/images")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
            *("--wheel-dir", folder / "dist", ROOT),
        ],
        check=True,
        timeout=300,
    )
    return folder


def require_chroot() -> None:
    """Skip the test if this user may not mount and change the root."""
    if os.geteuid() or not shutil.which("setpriv") or not shutil.which("unshare"):
        pytest.skip("needs root, unshare and setpriv")
    command = ["unshare", "--mount", "--propagation=private", "mount", "--bind", "/usr", "/mnt"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs permission to mount")


@pytest.fixture(scope="session", params=NAMES)
def image(
    request: pytest.FixtureRequest, wheel_context: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Built]:
    """Run the steps of an image in a chroot."""
    require_chroot()
    folder = tmp_path_factory.mktemp(request.param)
    for parent in folder.parents:  # pytest's own folder is private; the user of the image enters
        if parent.is_relative_to(tmp_path_factory.getbasetemp().parent):
            parent.chmod(0o755)
    folder.chmod(0o755)
    return request.param, Builder(wheel_context, folder, {"IMAGE": request.param}).build(STAGES)


def owned_folder(path: Path, user: int) -> Path:
    path.mkdir()
    os.chown(path, user, user)
    return path


def size_megabytes(folder: Path) -> float:
    sizes = (path.lstat().st_size for path in folder.rglob("*"))
    return sum(sizes) / 1e6


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_image_steps_in_chroot_install_locked_packages_and_convert_without_root(
    image: tuple[str, Built], tmp_path: Path
) -> None:
    name, built = image
    assert built.user == 65532
    installed = built.root / "opt/shardmill"
    assert size_megabytes(installed) < MOST_MEGABYTES[name]
    found = {path.name for path in installed.glob("lib/python*/site-packages/*")}
    assert ("tensorflow" in found) == ("apache_beam" in found) == (name == "train")
    assert "pip" not in found
    photos = make_folders(tmp_path / "photos", cat=6, dog=6)
    data = owned_folder(tmp_path / "data", built.user)
    ended = built.run(
        *("convert", "/photos", "/data/flowers", "--test=0.2", "--append", "--log-format=json"),
        mounts={photos: "/photos", data: "/data"},
    )
    assert ended.returncode == 0, ended.stderr
    assert list(verify(data / "flowers", decode=True)) == []
    assert open_dataset(data / "flowers").manifest.generations[0].counts.stored == 12
    assert {path.stat().st_uid for path in data.rglob("*")} == {built.user}
    forbidden = built.run("convert", "/photos", "/opt/data", mounts={photos: "/photos"})
    assert forbidden.returncode == 73, forbidden.stderr


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_image_steps_in_chroot_convert_to_s3(image: tuple[str, Built], tmp_path: Path) -> None:
    from tests.s3.server import BUCKET, S3Server, find_server

    binary = find_server()
    if binary is None:
        pytest.skip("needs the S3 server of the tests: `make s3-server` builds it")
    server = S3Server(binary, tmp_path / "server")
    (tmp_path / "server").mkdir()
    server.start()
    try:
        server.make_bucket()
        photos = make_folders(tmp_path / "photos", cat=6, dog=6)
        url = f"s3://{BUCKET}/data"
        ended = image[1].run(
            *("convert", "/photos", url), mounts={photos: "/photos"}, variables=server.environment
        )
        assert ended.returncode == 0, ended.stderr
        ended = image[1].run("verify", url, "--decode", variables=server.environment)
        assert ended.returncode == 0, ended.stderr
        wrong = {**server.environment, "AWS_SECRET_ACCESS_KEY": "wrong"}
        ended = image[1].run("stats", url, variables=wrong)
        assert ended.returncode == 66, ended.stderr
    finally:
        server.stop()


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", NAMES)
def test_image_of_docker_converts_without_root(
    name: str, wheel_context: Path, tmp_path: Path
) -> None:
    if (
        not shutil.which("docker")
        or subprocess.run(
            ["docker", "info"], capture_output=True, timeout=60, check=False
        ).returncode
    ):
        pytest.skip("needs a Docker daemon")
    tag = f"shardmill-test-{name}"
    file = wheel_context / "deploy/images/Dockerfile"
    building: list[str | Path] = [
        "docker",
        "build",
        "--file",
        file,
        "--build-arg",
        f"IMAGE={name}",
        "--tag",
        tag,
    ]
    subprocess.run([*building, wheel_context], check=True, timeout=2400)
    photos = make_folders(tmp_path / "photos", cat=6, dog=6)
    (tmp_path / "data").mkdir(mode=0o777)
    (tmp_path / "data").chmod(0o777)
    volumes = (f"--volume={photos}:/photos:ro", f"--volume={tmp_path / 'data'}:/data")
    running = ["docker", "run", "--rm", "--read-only", "--tmpfs=/tmp", "--network=none", *volumes]
    subprocess.run([*running, tag, "convert", "/photos", "/data/flowers"], check=True, timeout=600)
    assert open_dataset(tmp_path / "data/flowers").manifest.generations[0].counts.stored == 12
