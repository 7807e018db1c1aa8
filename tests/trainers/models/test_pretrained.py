"""Tests of loading weights of a backbone from Keras files."""

from __future__ import annotations

import urllib.error
from typing import TYPE_CHECKING, Any
from unittest import mock

import h5py
import numpy as np
import pytest
from PIL import Image

from records.errors import CorruptDataError, InputNotFoundError, ShardmillError, UsageError
from records.format.label_map import LabelMap
from records.images import ImageOptions
from trainers.config import FORMAT_VERSION, Architecture, ImageShape, RunConfig
from trainers.models import MODELS
from trainers.models.build import Network, build_network
from trainers.models.weights_file import encode_weights
from trainers.options import TrainOptions
from trainers.runs.create import create_run
from trainers.runs.run_dir import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import keras

SMALL = "mobilenet_v3_small"
# One of each module in keras.applications, the smallest of it.
FAMILIES = {
    str(spec.application).partition(".")[0]: name
    for name, spec in reversed(MODELS.items())
    if spec.has_backbone
}


def build(name: str, side_px: int = 32, **other: Any) -> Network:
    return build_network(Architecture(name, ImageShape(side_px, side_px), 3, **other))


def load(network: Network, weights: object, model: str = SMALL) -> None:
    from trainers.models.pretrained import load_backbone

    load_backbone(network, model, str(weights))


def get_backbone(network: Network) -> keras.Model:
    assert network.backbone is not None
    return network.backbone


def assert_loaded(network: Network, expected: keras.Model) -> None:
    """Check that all weights of the backbone are the first ones of `expected`."""
    ours = get_backbone(network).get_weights()
    for mine, theirs in zip(ours, expected.get_weights(), strict=False):
        np.testing.assert_array_equal(mine, theirs)
    assert len(ours) <= len(expected.weights)


def build_with_top(name: str) -> keras.Model:
    import keras

    classifier = str(MODELS[name].application).partition(".")[2]
    side_px = MODELS[name].min_side_px
    model: keras.Model = getattr(keras.applications, classifier)(
        weights=None, input_shape=(side_px, side_px, 3), classes=10
    )
    return model


def randomize(models: Iterable[keras.Model]) -> None:
    """Set distinct random weights, because new ones have many zeros and ones."""
    random = np.random.default_rng(0)
    for model in models:
        model.set_weights([random.uniform(0.1, 1, weight.shape) for weight in model.get_weights()])


@pytest.fixture(scope="module")
def trained() -> Network:
    """A network whose weights are saved."""
    network = build(SMALL, head_units=4, head_dropout=0.5)
    randomize([network.model])
    return network


@pytest.fixture(scope="module")
def with_top() -> keras.Model:
    model = build_with_top(SMALL)
    randomize([model])
    return model


@pytest.fixture(scope="module")
def target() -> Network:
    return build(SMALL)


@pytest.fixture
def network(target: Network) -> Network:
    """Return a network whose backbone has no weight of any file."""
    backbone = get_backbone(target)
    backbone.set_weights([np.full(weight.shape, -1) for weight in backbone.get_weights()])
    return target


def write_run(folder: Path, network: Network, model: str = SMALL) -> Path:
    config = RunConfig(
        FORMAT_VERSION,
        TrainOptions(model=model),
        Architecture(model, ImageShape(32, 32), 3, head_units=4, head_dropout=0.5),
        1e-3,
        ImageOptions(),
        dataset="data",
        plan_digests=(),
    )
    run = create_run(folder / "run", config, LabelMap(("a", "b", "c")))
    run.write(WEIGHTS, encode_weights(network.model))
    return folder / "run"


def write_legacy(path: Path, model: keras.Model, *, in_parts: bool = False) -> Path:
    """Write a weights file of Keras 2, with its list of layers in one or several parts."""
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
        if in_parts:
            names = file.attrs.pop("layer_names")
            for number, part in enumerate(np.array_split(names, 3)):
                file.attrs[f"layer_names{number}"] = part
    return path


def test_load_backbone_keras_weights_with_top_sets_backbone(
    network: Network, with_top: keras.Model, tmp_path: Path
) -> None:
    with_top.save_weights(tmp_path / "top.weights.h5")
    load(network, tmp_path / "top.weights.h5")
    assert_loaded(network, with_top)


def test_load_backbone_keras_weights_without_top_sets_backbone(
    network: Network, trained: Network, tmp_path: Path
) -> None:
    get_backbone(trained).save_weights(tmp_path / "base.weights.h5")
    load(network, tmp_path / "base.weights.h5")
    assert_loaded(network, get_backbone(trained))


@pytest.mark.filterwarnings("ignore:.*HDF5 file.*")
def test_load_backbone_legacy_hdf5_model_sets_backbone(
    network: Network, with_top: keras.Model, tmp_path: Path
) -> None:
    with_top.save(tmp_path / "whole.h5")
    load(network, tmp_path / "whole.h5")
    assert_loaded(network, with_top)


def test_load_backbone_legacy_hdf5_weights_with_top_set_backbone(
    network: Network, with_top: keras.Model, tmp_path: Path
) -> None:
    load(network, write_legacy(tmp_path / "weights.h5", with_top, in_parts=True))
    assert_loaded(network, with_top)


def test_load_backbone_legacy_hdf5_weights_without_top_set_backbone(
    network: Network, trained: Network, tmp_path: Path
) -> None:
    load(network, write_legacy(tmp_path / "base.hdf5", get_backbone(trained)))
    assert_loaded(network, get_backbone(trained))


@pytest.mark.parametrize("part", ["", WEIGHTS])
def test_load_backbone_run_or_its_weights_file_sets_only_backbone(
    network: Network, trained: Network, tmp_path: Path, part: str
) -> None:
    head = [np.asarray(weight) for weight in network.model.get_weights()[-2:]]
    load(network, write_run(tmp_path, trained) / part)
    assert_loaded(network, get_backbone(trained))
    for before, after in zip(head, network.model.get_weights()[-2:], strict=True):
        np.testing.assert_array_equal(before, after)


def test_load_backbone_third_party_model_containing_backbone_sets_backbone(
    network: Network, trained: Network, tmp_path: Path
) -> None:
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.Sequential([layers.RandomFlip(), layers.Conv2D(3, 3, padding="same")]),
            get_backbone(trained),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    model.save_weights(tmp_path / "own.weights.h5")
    load(network, tmp_path / "own.weights.h5")
    assert_loaded(network, get_backbone(trained))


def test_set_weights_normalization_statistics_take_effect(tmp_path: Path) -> None:
    import keras

    from trainers.models.weights_file import match_model, set_weights

    models = []
    for _ in range(2):
        normalization = keras.layers.Normalization()
        models.append(keras.Sequential([keras.Input((2, 2, 3)), normalization]))
    saved, loaded = models
    saved.layers[0].adapt(np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3))
    saved.save_weights(tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5") as file:
        set_weights(match_model(file, loaded))
    x = np.ones((1, 2, 2, 3), np.float32)
    np.testing.assert_array_equal(np.asarray(loaded(x)), np.asarray(saved(x)))


# Refusals.


def test_load_backbone_weights_of_other_model_are_refused_with_layer_and_shapes(
    network: Network, tmp_path: Path
) -> None:
    build("cnn").model.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(UsageError) as refused:
        load(network, tmp_path / "other.weights.h5")
    text = str(refused.value)
    assert text.startswith(f"{tmp_path}/other.weights.h5: not the weights of {SMALL}, ")
    assert "expected layer conv of float32 (3, 3, 3, 16), got layer conv2d" in text
    assert text.endswith(" of float32 (3, 3, 3, 16), float32 (16,)")
    assert "\n" not in text


def test_load_backbone_legacy_file_missing_layer_is_refused_by_name(
    network: Network, trained: Network, tmp_path: Path
) -> None:
    path = write_legacy(tmp_path / "short.h5", get_backbone(trained))
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = [
            name for name in file.attrs["layer_names"] if not name.startswith("conv_1_bn")
        ]
    with pytest.raises(UsageError, match=r"expected layer conv_1_bn of .*, got no layer"):
        load(network, path)


@pytest.mark.parametrize("names", [7, [1.5, 2.5], np.zeros((2, 2)), h5py.Empty("f4"), [b"\xff"]])
def test_load_backbone_invalid_layer_names_are_refused(
    network: Network, tmp_path: Path, names: object
) -> None:
    with h5py.File(tmp_path / "odd.h5", "w") as file:
        file.attrs["layer_names"] = names
    with pytest.raises(ShardmillError, match=r"got no layer|not a valid weights file"):
        load(network, tmp_path / "odd.h5")


def test_load_backbone_one_mismatched_layer_sets_nothing(
    network: Network, trained: Network, tmp_path: Path
) -> None:
    path = tmp_path / "one.weights.h5"
    get_backbone(trained).save_weights(path)
    with h5py.File(path, "a") as file:
        place = max(name for name in file["layers"] if name.startswith("conv2d"))
        del file[f"layers/{place}/vars/0"]
    before = get_backbone(network).get_weights()
    with pytest.raises(UsageError, match=r"expected layer \S+ of float32 .*, got layer \S+ of"):
        load(network, path)
    for first, second in zip(before, get_backbone(network).get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_load_backbone_different_dtype_is_refused(
    network: Network, trained: Network, tmp_path: Path
) -> None:
    path = tmp_path / "integers.weights.h5"
    get_backbone(trained).save_weights(path)
    with h5py.File(path, "a") as file:
        weight = file["layers/conv2d/vars/0"]
        shape = weight.shape
        del file["layers/conv2d/vars/0"]
        file["layers/conv2d/vars/0"] = np.ones(shape, np.uint16)
    with pytest.raises(UsageError, match=r"expected layer conv of float32 .* of uint16"):
        load(network, path)


def write_external_data(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/conv2d/vars/0", (4,), "f4", external=[("/etc/hostname", 0, 16)])


def write_link(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = h5py.ExternalLink("elsewhere.h5", "/secret")


def write_cut(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = np.zeros(10_000)
    path.write_bytes(path.read_bytes()[:5_000])


def write_model_in_model(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"base"]
        names = [f"w{number}" for number in range(300)]
        file.create_group("base").attrs["weight_names"] = names
        for name in names:
            file[f"base/{name}"] = np.zeros(1)


def write_no_layers(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["numbers"] = np.zeros(3)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (write_external_data, "refers to other data"),
        (write_link, "refers to other data"),
        (write_cut, "truncated file"),
        (write_model_in_model, "a nested model"),
        (write_no_layers, "no layers in a Keras layout"),
    ],
)
def test_load_backbone_unusable_hdf5_file_is_refused_with_reason(
    network: Network, tmp_path: Path, write: Callable[[Path], None], reason: str
) -> None:
    write(tmp_path / "odd.h5")
    with pytest.raises(CorruptDataError, match=f"odd.h5: not a valid weights file, got .*{reason}"):
        load(network, tmp_path / "odd.h5")


def test_load_backbone_keras_archive_or_saved_model_is_refused_with_hint(
    network: Network, tmp_path: Path
) -> None:
    (tmp_path / "model.keras").write_bytes(b"PK\x03\x04")
    (tmp_path / "saved" / "variables").mkdir(parents=True)
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"\x08\x01")
    for path in ("model.keras", "saved", "saved/saved_model.pb"):
        with pytest.raises(
            UsageError, match=r"if you trust the model, .* model\.save_weights\('NAME"
        ):
            load(network, tmp_path / path)


@pytest.mark.parametrize(
    ("weights", "kind"),
    [
        ("absent.h5", InputNotFoundError),
        ("empty", InputNotFoundError),
        ("text.h5", UsageError),
        ("https://example.com/w.h5", UsageError),
    ],
)
def test_load_backbone_missing_or_invalid_file_is_refused(
    network: Network,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    weights: str,
    kind: type[ShardmillError],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.h5").write_text("no weights")
    with pytest.raises(kind, match=weights):
        load(network, weights)


def test_load_backbone_run_of_other_model_is_refused(
    network: Network, trained: Network, tmp_path: Path
) -> None:
    path = write_run(tmp_path, trained, model="vgg16")
    with pytest.raises(UsageError, match=f"has a different model, expected {SMALL}, got vgg16"):
        load(network, path)


def test_load_backbone_network_without_backbone_is_refused() -> None:
    with pytest.raises(UsageError, match="cnn has no backbone"):
        load(build("cnn"), "imagenet", "cnn")


# ImageNet's, through Keras.


def test_load_backbone_imagenet_uses_keras_download_silently(
    network: Network, trained: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_legacy(tmp_path / "no_top.h5", get_backbone(trained))
    with mock.patch("keras.src.applications.mobilenet_v3.file_utils.get_file") as get_file:
        get_file.return_value = str(path)
        load(network, "imagenet")
    assert_loaded(network, get_backbone(trained))
    assert capsys.readouterr().out == ""


def test_load_backbone_failed_download_names_file_url_and_hint(
    network: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failure = urllib.error.URLError("no route to host")
    with (
        mock.patch("keras.src.backend.config._KERAS_DIR", str(tmp_path)),
        mock.patch("keras.src.utils.file_utils.urlretrieve", side_effect=failure),
        pytest.raises(InputNotFoundError) as refused,
    ):
        load(network, "imagenet")
    name = "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5"
    text = str(refused.value)
    assert text.startswith("https://")
    assert f"/{name}: the ImageNet weights of {SMALL} cannot be downloaded, got " in text
    assert text.endswith(
        f"no route to host; download {name} on another machine and pass --weights PATH"
    )
    assert capsys.readouterr().out == ""


# Slower ones, and what needs real weights.


@pytest.mark.slow
def test_load_backbone_real_weights_give_same_features_as_keras(shared_data: Path) -> None:
    import keras

    path = shared_data / "mobilenet_v2.weights.h5"
    network = build("mobilenet_v2", 224)
    load(network, path, "mobilenet_v2")
    photo = next(iter(sorted((shared_data / "flowers" / "daisy").glob("*.jpg"))))
    images = np.asarray(Image.open(photo).convert("RGB").resize((224, 224)))[None]
    by_keras = keras.applications.MobileNetV2(weights=None)
    by_keras.load_weights(path)
    pooled = keras.Model(by_keras.input, by_keras.layers[-2].output)
    expected = pooled(keras.applications.mobilenet_v2.preprocess_input(images.astype(np.float32)))
    assert network.extractor is not None
    np.testing.assert_allclose(
        np.asarray(network.extractor(images)), np.asarray(expected), atol=1e-4
    )
    assert np.asarray(expected).max() > 0.5


def test_load_backbone_real_weights_set_first_and_last_layer(shared_data: Path) -> None:
    network = build("mobilenet_v2")
    load(network, shared_data / "mobilenet_v2.weights.h5", "mobilenet_v2")
    with h5py.File(shared_data / "mobilenet_v2.weights.h5") as file:
        first, last = (file[f"layers/conv2d{number}/vars/0"][()] for number in ("", "_34"))
    layers = get_backbone(network)
    np.testing.assert_array_equal(layers.get_layer("Conv1").get_weights()[0], first)
    np.testing.assert_array_equal(layers.get_layer("Conv_1").get_weights()[0], last)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES.values())
def test_load_backbone_each_family_with_top_sets_backbone(name: str, tmp_path: Path) -> None:
    with_top = build_with_top(name)
    randomize([with_top])
    with_top.save_weights(tmp_path / "top.weights.h5")
    for path in (tmp_path / "top.weights.h5", write_legacy(tmp_path / "top.h5", with_top)):
        network = build(name, MODELS[name].min_side_px)
        load(network, path, name)
        assert_loaded(network, with_top)


@pytest.mark.slow
def test_load_backbone_inception_v3_run_sets_backbone(tmp_path: Path) -> None:
    trained, network = (build("inception_v3", 75) for _ in range(2))
    randomize([trained.model])
    trained.model.save_weights(tmp_path / WEIGHTS)
    load(network, tmp_path / WEIGHTS, "inception_v3")
    assert_loaded(network, get_backbone(trained))


@pytest.mark.parametrize("kind", ["models", "aliases"])
def test_load_backbone_many_groups_or_names_are_refused(tmp_path: Path, kind: str) -> None:
    with h5py.File(tmp_path / "many.h5", "w") as file:
        if kind == "models":
            for number in range(2000):
                file.create_group(f"m{number}/layers")
        else:
            layer = file.create_group("layer")
            layer.attrs["weight_names"] = np.array([b"w"] * 30_000)
            file.attrs["layer_names"] = np.array([b"layer"] * 10_000)
    network = build_network(Architecture("mobilenet_v3_small", ImageShape(32, 32), 3))
    with pytest.raises(CorruptDataError, match="more than"):
        load(network, tmp_path / "many.h5", "mobilenet_v3_small")
