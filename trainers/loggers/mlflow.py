"""Logger for MLflow."""

from __future__ import annotations

import io
import logging
import os
import re
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from records.runtime.extras import require_extra
from trainers.loggers.tracker import TrackerLogger, secret_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainers.loggers.base import Outcome
    from trainers.loggers.tracked_run import TrackedRun
    from trainers.runs.run_dir import Run

_EXPERIMENT = "shardmill"
_STATUS: dict[Outcome, str] = {
    "finished": "FINISHED",
    "interrupted": "KILLED",
    "failed": "FAILED",
}
_MOST_CHARACTERS = 500
"""The length of the values that every tracking server accepts."""
_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]", re.ASCII)
_KNOWN_METRIC = "val_loss"


def open_logger(run: Run, on_message: Callable[[str], None]) -> TrackerLogger:
    """Return the logger of a run. Raises as `TrackerLogger`."""
    return TrackerLogger("mlflow", MlflowTracker(), run, on_message)


class MlflowTracker:
    """A client of MLflow.

    MLflow's environment variables configure it, such as `MLFLOW_TRACKING_URI`. The active run of a
    program that uses MLflow does not change.
    """

    title = "MLflow"
    hint = "check MLFLOW_TRACKING_URI, or omit --log mlflow"

    def __init__(self) -> None:
        # MLflow would report its use to its makers.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        self._mlflow: Any = require_extra("mlflow", "mlflow")
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        self.secrets = secret_variables(
            "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"
        )
        self._run_id = ""
        self._steps: set[int] = set()

    def begin(self, run_id: str | None, description: TrackedRun) -> str:
        """See `Tracker.begin`; the parameters of a run that continues do not change."""
        self._client: Any = self._mlflow.MlflowClient()
        found = None if run_id is None else self._find(run_id)
        if found is None:
            tags = {name: value[:_MOST_CHARACTERS] for name, value in description.tags.items()}
            found = self._client.create_run(
                self._find_experiment(), run_name=description.name, tags=tags
            )
        self._run_id = found.info.run_id
        if self._run_id == run_id:
            self._client.update_run(run_id, status="RUNNING")
            # The epochs since the last checkpoint are trained again.
            history = self._client.get_metric_history(run_id, _KNOWN_METRIC)
            self._steps = {metric.step for metric in history}
        param = self._mlflow.entities.Param
        self._client.log_batch(
            self._run_id,
            params=[
                param(name, str(value)[:_MOST_CHARACTERS])
                for name, value in description.parameters.items()
                if name not in found.data.params
            ],
        )
        return self._run_id

    def place(self) -> str:
        """See `Tracker.place`."""
        return f"run {self._run_id} at {self._mlflow.get_tracking_uri()}"

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `Tracker.log`."""
        if step in self._steps:
            return
        metric, now_ms = self._mlflow.entities.Metric, int(time.time() * 1000)
        self._client.log_batch(
            self._run_id,
            metrics=[
                metric(_NOT_IN_NAMES.sub("_", name), value, now_ms, step)
                for name, value in metrics.items()
            ],
        )
        self._steps.add(step)

    def end(self, outcome: Outcome, files: Mapping[str, bytes]) -> None:
        """See `Tracker.end`."""
        with tempfile.TemporaryDirectory(prefix="shardmill-") as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            self._client.log_artifacts(self._run_id, folder)
        with redirect_stdout(io.StringIO()):  # it prints the address of the run
            self._client.set_terminated(self._run_id, _STATUS[outcome])

    def _find(self, run_id: str) -> Any:
        """Return a run that exists and is not deleted; otherwise None."""
        try:
            found = self._client.get_run(run_id)
        except self._mlflow.exceptions.MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return found if found.info.lifecycle_stage == "active" else None

    def _find_experiment(self) -> str:
        """Return the id of the experiment for new runs, which is created if it is missing."""
        chosen = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if chosen:
            return chosen
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or _EXPERIMENT
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except self._mlflow.exceptions.MlflowException:
                found = self._client.get_experiment_by_name(name)  # of another process
                if found is None:
                    raise
        return str(found.experiment_id)
