"""Tasks: all that differs between one label and several labels per image."""

from trainers.tasks.base import ClassCounts, Task, balance_classes
from trainers.tasks.find import find_task

__all__ = ["ClassCounts", "Task", "balance_classes", "find_task"]
