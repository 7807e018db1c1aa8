"""Repair of the damaged files of a dataset, from its source."""

from pipelines.repair.repair import repair
from pipelines.repair.report import RepairedFile, RepairReport
from pipelines.repair.source import make_options

__all__ = ["RepairReport", "RepairedFile", "make_options", "repair"]
