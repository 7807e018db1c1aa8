"""Tasks: all that differs between one label and several labels per image."""

from trainers.tasks.base import ClassCounts, Task
from trainers.tasks.find import find_task

__all__ = ["ClassCounts", "Task", "find_task"]
