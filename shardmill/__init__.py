"""Python API to convert labelled images to TFRecord shards and train models.

    import shardmill as sm

    sm.convert("photos", "data", test=0.2)
    sm.train("data", "run", model="mobilenet_v2", mode="transfer")
    for prediction in sm.Predictor("run").predict_files(["new.jpg"]):
        print(prediction)

Each name is imported at its first use: TensorFlow and Apache Beam load only when they are needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from records.adopt import adopt
    from records.dataset import Dataset, EpochBatches, MappedSplit, Record, Split, open_dataset
    from records.errors import ShardmillError
    from records.history import diff, log
    from records.inspection import inspect
    from records.quality import quality
    from records.salvage import salvage
    from records.signatures import sign
    from records.stats import stats
    from records.verification import verify
    from records.version import __version__
    from shardmill.datasets import append, compact, convert, extract, prune, rollback
    from shardmill.edits import relabel, remove, repair
    from shardmill.exporting import export_dataset
    from shardmill.planning import find_learning_rate, summarize
    from shardmill.reporting import report
    from shardmill.training import featurize, train
    from trainers.comparison import runs
    from trainers.evaluation import evaluate
    from trainers.export import export
    from trainers.input import as_tf_dataset
    from trainers.label_errors import label_errors
    from trainers.models import models, register_model
    from trainers.prediction import Predictor, evaluate_files
    from trainers.serving import serve, serving_app

_MODULES = {
    "Dataset": "records.dataset",
    "EpochBatches": "records.dataset",
    "MappedSplit": "records.dataset",
    "Predictor": "trainers.prediction",
    "Record": "records.dataset",
    "ShardmillError": "records.errors",
    "Split": "records.dataset",
    "__version__": "records.version",
    "adopt": "records.adopt",
    "append": "shardmill.datasets",
    "as_tf_dataset": "trainers.input",
    "compact": "shardmill.datasets",
    "convert": "shardmill.datasets",
    "diff": "records.history",
    "evaluate": "trainers.evaluation",
    "evaluate_files": "trainers.prediction",
    "export": "trainers.export",
    "export_dataset": "shardmill.exporting",
    "extract": "shardmill.datasets",
    "featurize": "shardmill.training",
    "find_learning_rate": "shardmill.planning",
    "inspect": "records.inspection",
    "label_errors": "trainers.label_errors",
    "log": "records.history",
    "models": "trainers.models",
    "open_dataset": "records.dataset",
    "prune": "shardmill.datasets",
    "quality": "records.quality",
    "register_model": "trainers.models",
    "relabel": "shardmill.edits",
    "remove": "shardmill.edits",
    "repair": "shardmill.edits",
    "report": "shardmill.reporting",
    "rollback": "shardmill.datasets",
    "runs": "trainers.comparison",
    "salvage": "records.salvage",
    "serve": "trainers.serving",
    "serving_app": "trainers.serving",
    "sign": "records.signatures",
    "stats": "records.stats",
    "summarize": "shardmill.planning",
    "train": "shardmill.training",
    "verify": "records.verification",
}

__all__ = [
    "Dataset",
    "EpochBatches",
    "MappedSplit",
    "Predictor",
    "Record",
    "ShardmillError",
    "Split",
    "__version__",
    "adopt",
    "append",
    "as_tf_dataset",
    "compact",
    "convert",
    "diff",
    "evaluate",
    "evaluate_files",
    "export",
    "export_dataset",
    "extract",
    "featurize",
    "find_learning_rate",
    "inspect",
    "label_errors",
    "log",
    "models",
    "open_dataset",
    "prune",
    "quality",
    "register_model",
    "relabel",
    "remove",
    "repair",
    "report",
    "rollback",
    "runs",
    "salvage",
    "serve",
    "serving_app",
    "sign",
    "stats",
    "summarize",
    "train",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(_MODULES[name]), name)
    except ModuleNotFoundError as error:
        from records.runtime.extras import explain_missing

        raise explain_missing(error) or error from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
