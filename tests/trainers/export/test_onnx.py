"""ONNX files give the scores of `predict`; what the converter leaves half done is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from records.errors import UsageError
from records.images import ImageOptions
from tests.trainers.conftest import LABELS, make_source
from trainers.config import FORMAT_VERSION, Architecture, ImageShape, RunConfig
from trainers.models.built_in import MODELS
from trainers.options import TrainOptions
from trainers.runs.run_dir import open_run

pytest.importorskip("tf2onnx", reason="needs shardmill[onnx]: no tf2onnx")

# The smallest classifier of each family of keras.applications; tf2onnx cannot convert ConvNeXt.
FAMILIES = (
    "densenet121", "efficientnet_b0", "efficientnet_v2_b0", "inception_v3",
    "mobilenet", "mobilenet_v2", "mobilenet_v3_small", "nasnet_mobile", "resnet50", "vgg16",
    "xception",
)  # fmt: skip


def test_onnx_export_gives_scores_of_predict(run_path: Path, tmp_path: Path) -> None:
    import onnx
    from onnx.reference import ReferenceEvaluator

    from trainers.export import export
    from trainers.prediction import Predictor

    folder = Path(export(open_run(run_path), tmp_path / "onnx", "onnx"))
    (result,) = Predictor(run_path).predict([make_source(300).data], top_k=3)
    assert result.pixels is not None
    model = ReferenceEvaluator(str(folder / "model.onnx"))
    assert (model.input_names, model.output_names) == (["image"], ["scores"])
    (scores,) = model.run(None, {"image": result.pixels[None]})
    found = [float(scores[0][best.label]) for best in result.top]
    np.testing.assert_allclose(found, [best.score for best in result.top], atol=1e-5)
    properties = onnx.load(folder / "model.onnx").metadata_props
    metadata = {each.key: json.loads(each.value) for each in properties}
    assert metadata["labels"] == list(LABELS)
    assert metadata["preprocessing"] == json.loads((folder / "preprocessing.json").read_text())
    assert metadata["provenance"]["model"] == "cnn"


def test_onnx_families_exist_in_registry() -> None:
    assert set(FAMILIES) <= set(MODELS)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_onnx_export_of_each_family_gives_features_of_the_backbone(name: str) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime")
    from trainers.export.onnx import check_onnx, convert
    from trainers.models.build import build_network

    architecture = Architecture(name, ImageShape(96, 96, 3), len(LABELS))
    config = RunConfig(
        FORMAT_VERSION,
        TrainOptions(model=name),
        architecture,
        1e-3,
        ImageOptions(),
        dataset="data",
        plan_digests=(),
    )
    # With random weights, all scores are alike, but not the features.
    backbone = build_network(architecture).extractor
    assert backbone is not None
    converted = convert(backbone, config)
    check_onnx(converted, name)
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3)).astype(np.uint8)
    session = runtime.InferenceSession(converted.SerializeToString())
    (found,) = session.run(["scores"], {"image": images})
    expected = np.asarray(backbone(images, training=False))
    largest = abs(expected).max()
    assert largest > 0
    np.testing.assert_allclose(found / largest, expected / largest, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("operation", "inputs", "message"),
    [
        ("Identity", ["image"], None),
        ("Identity", ["image", "normalization/Sub/y:0"], "unexpected inputs: 1"),
        ("StatefulPartitionedCall", ["image"], "StatefulPartitionedCall"),
    ],
)
def test_check_onnx_unsupported_graph_is_refused(
    operation: str, inputs: list[str], message: str | None
) -> None:
    from onnx import TensorProto, helper

    from trainers.export.onnx import check_onnx

    described = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in inputs]
    output = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1])
    node = helper.make_node(operation, ["image"], ["scores"])
    graph = helper.make_graph([node], "model", described, [output])
    if message is None:
        check_onnx(helper.make_model(graph), "cnn")
    else:
        with pytest.raises(UsageError, match=f"cannot convert cnn, got .*{message}"):
            check_onnx(helper.make_model(graph), "cnn")
