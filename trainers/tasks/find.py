"""Table of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.tasks.classification import Classification
from trainers.tasks.multi_label import MultiLabel

if TYPE_CHECKING:
    from trainers.tasks.base import Task

_TASKS: dict[str, Task] = {task.name: task for task in (Classification(), MultiLabel())}


def find_task(name: str) -> Task:
    """Return the task with this name in `dataset.json` or `config.json`."""
    return _TASKS[name]
