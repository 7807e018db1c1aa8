"""Tests of loading the weights of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from records.errors import CorruptDataError
from records.format.label_map import LabelMap
from records.images import ImageOptions
from trainers.config import FORMAT_VERSION, Architecture, ImageShape, RunConfig
from trainers.models.build import build_network
from trainers.models.weights_file import encode_weights
from trainers.options import TrainOptions
from trainers.runs.create import create_run
from trainers.runs.run_dir import WEIGHTS, Run

LABELS = LabelMap(("a", "b", "c"))


def make_run(folder: Path, architecture: Architecture) -> Run:
    config = RunConfig(
        FORMAT_VERSION,
        TrainOptions(model=architecture.model),
        architecture,
        1e-3,
        ImageOptions(),
        dataset="data",
        plan_digests=(),
    )
    return create_run(folder / "run", config, LABELS)


@pytest.mark.parametrize("name", ["cnn-bn", "mobilenet_v3_small"])
def test_load_model_saved_run_restores_weights(name: str, tmp_path: Path) -> None:
    from trainers.models.load import load_model

    architecture = Architecture(name, ImageShape(32, 32), 3, head_units=4, head_dropout=0.5)
    run = make_run(tmp_path, architecture)
    saved = build_network(architecture).model
    run.write(WEIGHTS, encode_weights(saved))
    loaded = load_model(run)
    for ours, theirs in zip(loaded.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_load_model_weight_that_is_not_finite_is_refused(value: float, tmp_path: Path) -> None:
    from trainers.models.load import load_model

    architecture = Architecture("cnn-bn", ImageShape(32, 32), 3)
    run = make_run(tmp_path, architecture)
    model = build_network(architecture).model
    *others, last = model.get_weights()
    model.set_weights([*others, np.full_like(last, value)])
    run.write(WEIGHTS, encode_weights(model))
    with pytest.raises(CorruptDataError, match="NaN or infinite"):
        load_model(run)


@pytest.mark.parametrize("shape", [ImageShape(1, 32), ImageShape(32, 7), ImageShape(1, 1)])
def test_load_model_image_smaller_than_the_model_supports_is_refused(
    shape: ImageShape, tmp_path: Path
) -> None:
    from trainers.models.load import load_model

    run = make_run(tmp_path, Architecture("cnn", shape, 3))
    with pytest.raises(CorruptDataError, match="too small for the model"):
        load_model(run)


@pytest.mark.parametrize(
    ("other", "expected", "got"),
    [
        (Architecture("cnn", ImageShape(32, 32), 4), r"\(128, 3\)", r"\(128, 4\)"),
        (Architecture("cnn", ImageShape(32, 32, 1), 3), r"\(3, 3, 3, 16\)", r"\(3, 3, 1, 16\)"),
        (Architecture("cnn", ImageShape(40, 32), 3), r"\(1024, 128\)", r"\(1280, 128\)"),
    ],
)
def test_load_model_weights_of_other_model_are_refused_with_layer_and_shapes(
    tmp_path: Path, other: Architecture, expected: str, got: str
) -> None:
    from trainers.models.load import load_model

    run = make_run(tmp_path, Architecture("cnn", ImageShape(32, 32), 3))
    run.write(WEIGHTS, encode_weights(build_network(other).model))
    pattern = (
        r"run/model\.weights\.h5: the weights do not fit the model of this run, "
        rf"expected layer \S+ of float32 {expected}.*, got layer \S+ of float32 {got}"
    )
    with pytest.raises(CorruptDataError, match=pattern):
        load_model(run)


def test_load_model_missing_layer_is_refused_by_name(tmp_path: Path) -> None:
    from trainers.models.load import load_model

    architecture = Architecture("cnn", ImageShape(32, 32), 3)
    run = make_run(tmp_path, architecture)
    run.write(WEIGHTS, encode_weights(build_network(architecture).model))
    with h5py.File(Path(run.location) / WEIGHTS, "a") as file:
        del file["layers/dense_1"]
    run.write(WEIGHTS, (Path(run.location) / WEIGHTS).read_bytes())
    with pytest.raises(CorruptDataError, match=r"expected layer logits of .*, got no layer"):
        load_model(run)


def test_load_model_file_not_hdf5_is_refused(tmp_path: Path) -> None:
    from trainers.models.load import load_model

    run = make_run(tmp_path, Architecture("cnn", ImageShape(32, 32), 3))
    run.write(WEIGHTS, b"not HDF5")
    with pytest.raises(CorruptDataError, match=r"model\.weights\.h5: not a valid weights file"):
        load_model(run)


@pytest.mark.parametrize(
    "link", [h5py.SoftLink("/layers"), h5py.ExternalLink("other.h5", "/layers")]
)
def test_check_weights_hdf5_link_is_refused(tmp_path: Path, link: object) -> None:
    from trainers.models.load import check_weights

    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["layers/conv2d/vars/0"] = link
    with pytest.raises(ValueError, match="layers/conv2d/vars/0 refers to other data"):
        check_weights(tmp_path / "linked.h5")


def test_check_weights_external_or_virtual_dataset_is_refused(tmp_path: Path) -> None:
    from trainers.models.load import check_weights

    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "secret", (4,))
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("a/0", layout)
        file.create_dataset("b/0", (4,), "f4", external=[("other.bin", 0, 16)])
    with pytest.raises(ValueError, match="a/0 refers to other data"):
        check_weights(tmp_path / "virtual.h5")
    with h5py.File(tmp_path / "virtual.h5", "a") as file:
        del file["a"]
    with pytest.raises(ValueError, match="b/0 refers to other data"):
        check_weights(tmp_path / "virtual.h5")


def test_check_weights_chunk_much_larger_than_its_array_is_refused(tmp_path: Path) -> None:
    from trainers.models.load import check_weights

    options: dict[str, Any] = {"maxshape": (None,), "dtype": "f4", "compression": "gzip"}
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file.create_dataset("a/small", (32,), chunks=(1 << 18,), **options)
        file.create_dataset("a/large", (32,), chunks=(1 << 28,), **options)
    with pytest.raises(ValueError, match="a/large has chunks larger than the array"):
        check_weights(tmp_path / "bomb.h5")


def test_open_weights_type_without_numpy_equivalent_is_refused(tmp_path: Path) -> None:
    from trainers.models.load import open_weights

    path = tmp_path / "time.h5"
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple((2,))
        h5py.h5d.create(file.id, b"time", h5py.h5t.UNIX_D32LE.copy(), space)
    refused = pytest.raises(CorruptDataError, match="not a valid weights file")
    with refused, open_weights(path) as file:
        file["time"].dtype  # noqa: B018


def write_nested(path: Path, depth: int) -> None:
    with h5py.File(path, "w") as file:
        group: h5py.Group = file
        for _ in range(depth):
            group = group.create_group("layers")


@pytest.mark.parametrize("depth", [65, 5000])
def test_check_weights_deeply_nested_groups_are_refused(tmp_path: Path, depth: int) -> None:
    from trainers.models.load import check_weights

    write_nested(tmp_path / "nested.h5", depth)
    with pytest.raises(ValueError, match="nested more than 64 deep"):
        check_weights(tmp_path / "nested.h5")


def test_walk_groups_hard_links_are_followed_once(tmp_path: Path) -> None:
    from trainers.models.hdf5 import walk_groups

    with h5py.File(tmp_path / "linked.h5", "w") as file:
        group: h5py.Group = file
        for _ in range(40):  # each group is in the one above it twice: 2 ** 40 paths
            group["a"] = group.file.create_group(None)
            group["b"] = group["a"]
            group = group["a"]
        group["root"] = file["/"]
        assert len(list(walk_groups(file))) == 41
