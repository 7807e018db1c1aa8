from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from pipelines import run_state
from pipelines.writing.crash_isolation import SubprocessNormalizer
from records.dataset import open_dataset
from records.format.image_options import ImageOptions
from records.images import NormalizedImage, Rejection, normalize_image
from records.storage import open_storage
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import PICTURE, make_file, make_picture

DEADLY = make_picture(666)


def crash_on_deadly(data: bytes, options: ImageOptions) -> NormalizedImage | Rejection:
    """A decoder with a fault that takes its process with it."""
    if data == DEADLY:
        os.abort()
    return normalize_image(data, options)


def test_subprocess_normalizer_decoder_crash_becomes_rejection() -> None:
    with SubprocessNormalizer(crash_on_deadly) as store:
        outcomes = [store(data, ImageOptions()) for data in (PICTURE, DEADLY, PICTURE)]
    assert isinstance(outcomes[0], NormalizedImage)
    assert outcomes[1] == Rejection("corrupt", "the decoder crashed on it, twice")
    assert outcomes[2] == outcomes[0]


def test_subprocess_normalizer_any_image_gives_same_result_as_in_process() -> None:
    for data in (PICTURE, make_picture(kind="GIF"), PICTURE[:50], b""):
        with SubprocessNormalizer() as store:
            assert store(data, ImageOptions()) == normalize_image(data, ImageOptions())


def test_process_pool_decoder_crash_raises_broken_process_pool() -> None:
    with SubprocessNormalizer(crash_on_deadly) as store, pytest.raises(BrokenProcessPool):
        store.pool.submit(crash_on_deadly, DEADLY, ImageOptions()).result()


def test_convert_shard_of_crashed_worker_is_decoded_in_subprocess(
    convert: Convert, source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(source, "cat/deadly.png", DEADLY)
    monkeypatch.setattr(
        "pipelines.writing.shard.SubprocessNormalizer",
        type("Crashing", (SubprocessNormalizer,), {"__init__": _with_crashes}),
    )
    real = run_state.write_run

    def die_first(*given: object) -> None:
        real(*given)  # type: ignore[arg-type]
        run_state.mark_started(open_storage(output), "train-00000-of-00001.tfrecord")

    monkeypatch.setattr(run_state, "write_run", die_first)
    report = convert()
    assert report.rejects_by_reason == {"corrupt": 1}
    keys = {record.key for record in open_dataset(output)["train"]}
    assert len(keys) == 21
    assert "cat/deadly.png" not in keys


def _with_crashes(self: SubprocessNormalizer) -> None:
    SubprocessNormalizer.__init__(self, crash_on_deadly)


_WORKER = """
import sys, time
from pipelines.writing.crash_isolation import SubprocessNormalizer
from records.format.image_options import ImageOptions

if __name__ == "__main__":
    with SubprocessNormalizer() as store:
        store(b"", ImageOptions())
        print(next(iter(store.pool._processes)), flush=True)
        time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_subprocess_normalizer_parent_killed_ends_child_process(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(_WORKER)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        [sys.executable, script], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        helper = Path("/proc") / process.stdout.readline().strip()
        assert helper.exists()
        process.kill()
    end = time.monotonic() + 20
    while helper.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not helper.exists()
