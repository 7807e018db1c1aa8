"""Logger for Weights & Biases."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from records.errors import UsageError
from records.runtime.extras import require_extra
from trainers.loggers.tracker import TrackerLogger, secret_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainers.loggers.base import Outcome
    from trainers.loggers.tracked_run import TrackedRun
    from trainers.runs.run_dir import Run

_PROJECT = "shardmill"
_WITHOUT_SERVER = {"offline", "disabled", "dryrun"}
_EXIT_CODE: dict[Outcome, int] = {"finished": 0, "interrupted": 130, "failed": 1}


def open_logger(run: Run, on_message: Callable[[str], None]) -> TrackerLogger:
    """Return the logger of a run. Raises as `TrackerLogger`, and UsageError without a key."""
    return TrackerLogger("wandb", WandbTracker(), run, on_message)


class WandbTracker:
    """A client of Weights & Biases, or of a server with the same interface.

    Its environment variables configure it, such as `WANDB_MODE` and `WANDB_PROJECT`.
    """

    title = "Weights & Biases"
    hint = "set WANDB_MODE=offline to log without a network, or omit --log wandb"

    def __init__(self) -> None:
        self._wandb: Any = require_extra("wandb", "wandb")
        self.secrets = secret_variables("WANDB_API_KEY", "WANDB_BASE_URL")
        self._run: Any = None
        self._require_key()

    def begin(self, run_id: str | None, description: TrackedRun) -> str:
        """See `Tracker.begin`."""
        wandb = self._wandb
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or _PROJECT,
            name=os.environ.get("WANDB_NAME") or description.name,
            id=run_id,
            resume="allow",
            reinit="create_new",  # the run of a program that uses Weights & Biases does not change
            settings=wandb.Settings(
                console="off",
                silent=True,
                # The command line and the address of a repository may contain credentials.
                disable_git=True,
                x_disable_meta=True,
                x_save_requirements=False,
            ),
        )
        self._run.config.update(
            {**description.parameters, **description.tags}, allow_val_change=True
        )
        return str(self._run.id)

    def place(self) -> str:
        """See `Tracker.place`."""
        address = self._run.dir if self._run.offline or self._run.disabled else self._run.url
        return f"run {self._run.id} at {address}"

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `Tracker.log`; the service ignores steps before the last one that it has."""
        self._run.log(dict(metrics), step=step)

    def end(self, outcome: Outcome, files: Mapping[str, bytes]) -> None:
        """See `Tracker.end`."""
        folder = Path(self._run.dir)
        for name, content in () if self._run.disabled else files.items():
            (folder / name).write_bytes(content)
            self._run.save(str(folder / name), base_path=str(folder), policy="now")
        self._run.finish(exit_code=_EXIT_CODE[outcome])

    def _require_key(self) -> None:
        """Check that a key is known: without one, the client would ask for it, and wait."""
        # `wandb offline` saves the mode in a file of settings.
        mode = os.environ.get("WANDB_MODE") or self._wandb.setup().settings.mode
        if mode not in _WITHOUT_SERVER and not self._wandb.login(prompt=False):
            raise UsageError(
                "no key for Weights & Biases",
                expected="WANDB_API_KEY, or the key that `wandb login` saves",
                hint=self.hint,
            )
