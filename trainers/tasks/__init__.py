"""Tasks: all that differs between one label, several labels and a number."""

from trainers.tasks.base import ClassCounts, Findings, Task, balance_classes
from trainers.tasks.find import find_task, task_of

__all__ = ["ClassCounts", "Findings", "Task", "balance_classes", "find_task", "task_of"]
