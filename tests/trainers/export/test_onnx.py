"""ONNX files give the scores of `predict`; what the converter leaves half done is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from records.errors import UsageError
from tests.trainers.conftest import make_source
from trainers.runs.run_dir import open_run

pytest.importorskip("tf2onnx", reason="needs shardmill[onnx]: no tf2onnx")


def test_onnx_export_gives_scores_of_predict(run_path: Path, tmp_path: Path) -> None:
    from onnx.reference import ReferenceEvaluator

    from trainers.export import export
    from trainers.prediction import Predictor

    folder = Path(export(open_run(run_path), tmp_path / "onnx", "onnx"))
    (result,) = Predictor(run_path).predict([make_source(300).data], top_k=3)
    assert result.pixels is not None
    model = ReferenceEvaluator(str(folder / "model.onnx"))
    (scores,) = model.run(None, {"image": result.pixels[None]})
    found = [float(scores[0][best.label]) for best in result.top]
    np.testing.assert_allclose(found, [best.score for best in result.top], atol=1e-5)


@pytest.mark.parametrize(
    ("operation", "inputs", "message"),
    [
        ("Identity", ["image"], None),
        ("Identity", ["image", "normalization/Sub/y:0"], "unexpected inputs: 1"),
        ("StatefulPartitionedCall", ["image"], "StatefulPartitionedCall"),
    ],
)
def test_check_onnx_unsupported_graph_is_refused(
    tmp_path: Path, operation: str, inputs: list[str], message: str | None
) -> None:
    import onnx
    from onnx import TensorProto, helper

    from trainers.export.onnx import check_onnx

    described = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in inputs]
    output = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1])
    node = helper.make_node(operation, ["image"], ["scores"])
    graph = helper.make_graph([node], "model", described, [output])
    onnx.save(helper.make_model(graph), tmp_path / "model.onnx")
    if message is None:
        check_onnx(tmp_path / "model.onnx", "cnn")
    else:
        with pytest.raises(UsageError, match=f"cannot convert cnn, got .*{message}"):
            check_onnx(tmp_path / "model.onnx", "cnn")
