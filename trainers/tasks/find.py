"""Table of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.tasks.classification import Classification
from trainers.tasks.multi_label import MultiLabel
from trainers.tasks.regression import Regression

if TYPE_CHECKING:
    from trainers.config import RunConfig, Target
    from trainers.tasks.base import Task

_OF_CLASSES: dict[str, Task] = {task.name: task for task in (Classification(), MultiLabel())}


def find_task(name: str, target: Target | None = None) -> Task:
    """Return the task with this name in `dataset.json` or `config.json`.

    Args:
        name: the name.
        target: the target, if the task is `regression`.
    """
    return _OF_CLASSES[name] if target is None else Regression(target)


def task_of(config: RunConfig) -> Task:
    """Return the task of a run."""
    return find_task(config.task, config.architecture.target)
